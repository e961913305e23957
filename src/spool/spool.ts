/** The one door to stored mail: accept, claim, settle, hold, release. */
import type { Readable } from 'node:stream'
import type { Envelope, MessageKind } from '../mail/envelope.ts'
import type { Step } from '../mail/plan.ts'
import { sealInThread } from '../seal/sealing-thread.ts'
import type { Statement } from '../store/db.ts'
import { isIntact, openContent } from './content.ts'
import type { DueGroup } from './due.ts'
import type { Berths } from './handover.ts'
import { openIntake, type Shared } from './intake.ts'
import { createBlocks } from './kept.ts'
import { draftOriginal } from './new-message.ts'
import type { SpoolParts } from './parts.ts'
import { forgetContent } from './settle.ts'

/** Who handed a message in; kept for the audit, no secrets. */
export type Client = {
  readonly address: string
  readonly name: string
  readonly authenticatedAs: string | null
  readonly tls: string | null
}

/** What is known once the last octet of DATA is in. */
export type Acceptance = {
  readonly envelope: Envelope
  /** With angle brackets. */
  readonly messageId: string
  /** Canonical address of the header From, '' when there is none. */
  readonly headerFrom: string
  readonly client: Client
  /** The content was seen to have only CRLF for line ends and no line that begins with a dot: it may leave as it is. */
  readonly plainLines?: boolean
}

/** A message being received: sealed while it streams in; nothing of it exists until `commit` resolved. */
export type Intake = {
  readonly id: string
  /** Resolves when more may be written: the chunk is the caller's again. Rejects when the disk fails: then answer 452 4.3.1 or 451 4.3.0 and abort. */
  readonly write: (chunk: Buffer) => Promise<void>
  /** Resolves only when content and rows would survive a power cut: then, and only then, answer 250. */
  readonly commit: (acceptance: Acceptance) => Promise<void>
  readonly abort: () => Promise<void>
}

/** A mail that we originate: notice, code, DSN, mail to a sender. Small, sealed with its row. */
export type Original = {
  readonly kind: Exclude<MessageKind, 'mail'>
  readonly about: string
  readonly messageId: string
  readonly headerFrom: string
  readonly envelope: Envelope
  readonly content: Buffer
  /** Its frozen plan, e.g. [{ method: 'opportunistic', options: { notice: true } }]. */
  readonly steps: readonly Step[]
}

/** A message of ours that is too large to be drafted: it streams into an intake like any other, with its plan from the start. */
export type OwnIntake = {
  readonly id: string
  readonly kind: 'copy'
  readonly about: string
  readonly steps: readonly Step[]
}

export type Spool = {
  /** For mail that comes in; or, with `own`, for mail of ours: its commit rejects with Unexpected when there is a message with that id. */
  readonly intake: (own?: OwnIntake) => Intake
  /** The statements that put a mail of ours into the queue, to be written together with what caused it; then call `wake`. */
  readonly draft: (mail: Original) => { readonly id: string; readonly statements: readonly Statement[] }
  /** Something new is due: look now. */
  readonly wake: () => void
  /** The content of a message in clear, given its file key; undefined when it is gone. */
  readonly open: (messageId: string, fileKey: Buffer) => Promise<Readable | undefined>
  /** Is the sealed payload on the disk the one with this hex SHA-256? */
  readonly intact: (messageId: string, payloadSha256: string) => Promise<boolean>
  /** Delete the content of a message, blob file too, unless a waiting recipient or a letter still needs it. */
  readonly forget: (messageId: string) => Promise<void>
  /** Bytes still free where content is stored. */
  readonly free: () => Promise<number>
}

/** How long free space counts as known, milliseconds: it is asked for with each message. */
const knownFor = 200

/** The answer of a moment ago, or a new one; a failure is not remembered. */
function remembered(ask: () => Promise<number>): () => Promise<number> {
  let last: { readonly answer: Promise<number>; readonly at: number } | undefined
  return () => {
    if (last !== undefined && performance.now() - last.at < knownFor) return last.answer
    const answer = ask()
    last = { answer, at: performance.now() }
    answer.catch(() => {
      last = undefined
    })
    return answer
  }
}

const mostGathered = 64 * 1024 * 1024
/** 32 MiB. */
const mostKept = 128

/** Delivery, as the spool knows it. */
export type Courier = { readonly wake: () => void; readonly berth: Berths }

/** Open the spool. Until `serve` says who delivers, everything waits in the queue. */
export function createSpool(parts: SpoolParts): Spool & { readonly serve: (courier: Courier) => void } {
  let courier: Courier = { wake: () => {}, berth: () => undefined }
  const shared: Shared = { left: mostGathered, kept: createBlocks(mostKept), sealing: sealInThread() }
  const current = { wake: () => courier.wake(), berth: (group: DueGroup) => courier.berth(group) }
  return {
    intake: (own) => openIntake(parts, current, shared, own),
    draft: (mail) => draftOriginal(parts, mail),
    wake: current.wake,
    serve: (wanted) => {
      courier = wanted
    },
    open: async (messageId, fileKey) => (await openContent(parts, messageId, fileKey))?.open(),
    intact: (messageId, payloadSha256) => isIntact(parts, messageId, payloadSha256),
    forget: (messageId) => forgetContent(parts, messageId),
    free: remembered(() => parts.blobs.free()),
  }
}
