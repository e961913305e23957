/** Vouches for policy revisions: whoever can only write the database cannot decide how mail travels. */
import { joinParts } from '../seal/parts.ts'
import type { Signer } from '../seal/signer.ts'

/** All that a revision is, as its row holds it. */
export type SignedRevision = {
  readonly revision: number
  readonly fingerprint: string
  readonly text: string
  readonly applied_at: number
  readonly applied_by: string
  readonly comment: string
}

/** A policy revision was planted or altered in the database; the text says which, and what to do. Nothing is decided by it. */
export class PolicyAltered extends Error {
  override readonly name = 'PolicyAltered'

  constructor(revision: number) {
    super(
      `policy revision ${revision} was altered in the database: its signature is not ours. Nothing is decided by it; apply a policy anew (\`letterlock policy apply FILE\`), and see who can write the database`,
    )
  }
}

/** 64 bytes of Ed25519 over the whole revision. */
export const signRevision = (signer: Signer, row: SignedRevision): Buffer => signer.sign(signed(row))

/** Whether this revision was applied here and not changed since. One without a signature was not. */
export const isSigned = (signer: Signer, row: SignedRevision, signature: Buffer | null): boolean =>
  signature !== null && signature.length === 64 && signer.verify(signed(row), signature)

const signed = ({ revision, fingerprint, text, applied_at, applied_by, comment }: SignedRevision): Buffer =>
  joinParts(['letterlock policy v1', String(revision), fingerprint, text, String(applied_at), applied_by, comment])
