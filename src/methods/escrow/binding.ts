/** What makes a letter this letter: everything that must not change, signed, and the salt's wrap bound to it. */
import type { Keyring } from '../../seal/keyring.ts'
import type { LinkKind } from './secret.ts'

/** The proofs that a rule may ask of a reader. */
export const ruleProofs = ['link', 'code', 'second-factor'] as const
/** `passphrase`: the link and four words that the sender tells; no code, for none could arrive. Only the sender's press makes it so. */
const proofs = [...ruleProofs, 'passphrase'] as const
export type Proof = (typeof proofs)[number]

/** A proof that we do not know asks for the most. */
export const proofNamed = (name: string): Proof => proofs.find((proof) => proof === name) ?? 'second-factor'

/** Fixed when the letter is sealed. Whoever writes into the database cannot change one of these unnoticed. */
export type Binding = {
  readonly letter: string
  /** Our id of the message. */
  readonly message: string
  /** Id of the recipient row. */
  readonly recipient: string
  readonly address: string
  readonly proof: Proof
  /** Milliseconds since 1970. */
  readonly expiresAt: number
  /** Hex, of the sealed payload. */
  readonly payloadSha256: string
  /** What pages show before the code. */
  readonly shown: {
    readonly reference: string
    readonly senderAddress: string
    readonly senderName: string
    readonly messageId: string
    readonly references: string
    readonly label: string
    readonly language: string
    readonly createdAt: number
  }
}

/** A header of the letter with what stands beside it. */
export type BoundHeader = {
  readonly kind: LinkKind
  readonly lookup: string
  readonly header: Buffer
  readonly saltWrap: Buffer
  readonly meta: Buffer
}

/** Additional data of the salt's wrap: a salt moved to another letter, mailbox, proof, expiry, payload or kind of link does not open. */
export const saltBinding = ({ letter, message, address, proof, expiresAt, payloadSha256 }: Binding, kind: LinkKind = 'link'): Buffer =>
  joined(
    kind === 'link' ? 'letterlock salt v1' : 'letterlock sender salt v1',
    letter,
    message,
    address,
    proof,
    String(expiresAt),
    payloadSha256,
  )

/** Additional data of the sealed subject and attachment names. */
export const metaBinding = (letter: string): Buffer => joined('letterlock meta v1', letter)

/** 64 bytes of Ed25519 over the binding and the header. age authenticates no sender: this does. */
export const signLetter = (keyring: Keyring, binding: Binding, header: BoundHeader): Buffer => keyring.sign(signed(binding, header))

/** Was this letter, with this header, made by us and not changed since? */
export const verifyLetter = (keyring: Keyring, binding: Binding, header: BoundHeader, signature: Buffer): boolean =>
  keyring.verify(signed(binding, header), signature)

function signed(binding: Binding, header: BoundHeader): Buffer {
  const { shown } = binding
  return joined(
    'letterlock letter v1',
    saltBinding(binding),
    binding.recipient,
    shown.reference,
    shown.senderAddress,
    shown.senderName,
    shown.messageId,
    shown.references,
    shown.label,
    shown.language,
    String(shown.createdAt),
    header.kind,
    header.lookup,
    header.header,
    header.saltWrap,
    header.meta,
  )
}

/** Each part after its length, so that no two lists of parts give the same bytes. */
export function joined(...parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part)
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}
