/** Receives one message: seals it while it streams in, and makes it durable before anybody says 250. */
import { createHash } from 'node:crypto'
import { domainOf } from '../mail/address.ts'
import { newId } from '../mail/id.ts'
import { markPlainLines } from '../mail/plain-lines.ts'
import { failpoint } from '../ops/failpoint.ts'
import { giveBack, singleUse } from '../ops/single-use.ts'
import { newFileKey, payloadSize, sealWhole } from '../seal/age.ts'
import type { Sealing } from '../seal/sealing-thread.ts'
import { type Db, expecting, OutcomeUnknown, sql } from '../store/db.ts'
import { sharing } from '../store/sharing.ts'
import type { ClaimedMessage, Group } from './claim.ts'
import { type Clear, clearOf, clearOfBlob } from './content.ts'
import { berthsFor } from './handover.ts'
import { type Blocks, createBlocks, keepContent } from './kept.ts'
import { messageRows, type NewMessage, recipientId } from './new-message.ts'
import type { SpoolParts } from './parts.ts'
import type { Courier, Intake, OwnIntake } from './spool.ts'
import { streamToBlob, type ToBlob } from './to-blob.ts'

/** What all messages being received share. */
export type Shared = {
  /** Bytes that they may hold in memory together; beyond that they stream into blobs, however small. */
  left: number
  readonly kept: Blocks
  readonly sealing: Sealing
}

/** Open an intake: a small message waits in memory and goes with its row, a larger one streams into a blob file. */
export function openIntake(parts: SpoolParts, courier: Courier, shared: Shared, own?: OwnIntake): Intake {
  const { db, blobs, clock } = parts
  const id = own?.id ?? newId()
  const fileKey = newFileKey()
  // Mail of ours waits in the queue first.
  const payload = createPayload(parts, fileKey, shared, own ? createBlocks(0) : shared.kept)
  let size = 0

  return {
    id,
    write: async (chunk) => {
      size += chunk.length
      await payload.write(chunk)
    },
    commit: async (acceptance) => {
      const { content, clear } = await payload.end(acceptance.plainLines)
      const policyRevision = own ? 0 : await revisionInForce(db)
      const berths: ReturnType<typeof berthsFor> = own ? new Map() : berthsFor(courier.berth, id, acceptance)
      const mail: NewMessage = {
        ...{ id, kind: 'mail', about: null, size, fileKey, content, policyRevision, steps: null, now: clock(), claimed: berths },
        ...{ ...acceptance, ...own },
      }
      const opened = sharedBy(berths.size, clear)
      const groups = [...berths].map(([domain, berth]) => ({ berth, group: freshGroup(mail, domain, opened) }))
      const show = () => {
        for (const { berth, group } of groups) berth.foresee?.(group)
      }
      try {
        failpoint('accept.before-commit')
        const written = db.write(...(own ? [expecting(0, sql`SELECT id FROM message WHERE id = ${id}`)] : []), ...messageRows(parts, mail))
        // Behind the immediate that hands them to the thread: while that syncs.
        const showing = clear.whole === undefined ? undefined : setImmediate(show)
        await written.finally(() => clearImmediate(showing))
      } catch (error) {
        for (const { berth, group } of groups) {
          berth.leave()
          group.fresh?.fileKey.fill(0)
          group.fresh?.done?.()
        }
        // It may be queued for all that we know; else the sweep finds the blob.
        if (content.blob !== null && !(error instanceof OutcomeUnknown)) await blobs.remove(content.blob).catch(() => undefined)
        throw error
      }
      failpoint('accept.committed')
      // The row has it now.
      if (content.inline !== null) giveBack(singleUse(content.inline))
      for (const { berth, group } of groups) berth.begin(group)
      fileKey.fill(0)
      if (acceptance.envelope.recipients.some(({ address }) => !berths.has(domainOf(address)))) courier.wake()
    },
    abort: async () => {
      fileKey.fill(0)
      await payload.abort()
    },
  }
}

/** How a message in the making is kept: `end` says where its payload is, and how delivery reads it. */
type Payload = {
  readonly write: (chunk: Buffer) => Promise<void>
  readonly end: (plainLines?: boolean) => Promise<{ readonly content: NewMessage['content']; readonly clear: Clear }>
  readonly abort: () => Promise<void>
}

/** Gathers it in memory; beyond `limits.inlineContent` it streams into a blob, and is kept beside that while there is room. */
function createPayload({ blobs, settings }: SpoolParts, fileKey: Buffer, shared: Shared, blocks: Blocks): Payload {
  const gathered = createSpace()
  const kept = keepContent(blocks)
  let large: ToBlob | undefined

  const isSmall = (chunk: Buffer) =>
    chunk.length <= shared.left && payloadSize(gathered.all().length + chunk.length) <= settings['limits.inlineContent']
  const forget = () => {
    shared.left += gathered.all().length
    gathered.empty()
  }
  const stream = async (to: ToBlob, chunk: Buffer) => {
    kept.add(chunk)
    await to.write(chunk)
  }
  return {
    write: async (chunk) => {
      if (large !== undefined) return stream(large, chunk)
      if (isSmall(chunk)) {
        shared.left -= chunk.length
        return gathered.add(chunk)
      }
      large = streamToBlob(blobs, shared.sealing, fileKey)
      await stream(large, gathered.all())
      forget()
      await stream(large, chunk)
    },
    end: async (plainLines = false) => {
      if (large === undefined) {
        const whole = gathered.all()
        forget()
        const inline = sealWhole(fileKey, whole)
        const sha256 = createHash('sha256').update(inline).digest('hex')
        return {
          content: { inline, blob: null, payloadSize: inline.length, sha256 },
          clear: clearOf(plainLines ? markPlainLines(whole) : whole),
        }
      }
      const written = await large.end()
      return {
        content: { inline: null, ...written },
        clear: kept.clear(plainLines) ?? clearOfBlob(blobs, written.blob, fileKey, plainLines),
      }
    },
    abort: async () => {
      forget()
      kept.letGo()
      await large?.abort()
    },
  }
}

/** Bytes that come in pieces of any size, joined. Its own memory, not the shared pool: it is clear text. */
function createSpace() {
  let space = Buffer.alloc(0)
  let used = 0
  return {
    add: (piece: Buffer) => {
      if (used + piece.length > space.length) {
        // Doubling keeps a message that comes octet by octet from costing the square of its size.
        const larger = Buffer.allocUnsafeSlow(Math.max(8192, space.length * 2, used + piece.length))
        space.copy(larger, 0, 0, used)
        giveBack(singleUse(space))
        space = larger
      }
      used += piece.copy(space, used)
    },
    all: () => space.subarray(0, used),
    empty: () => {
      space = Buffer.alloc(0)
      used = 0
    },
  }
}

/** The same for so many, of whom each says once that he is done with it. */
function sharedBy(count: number, clear: Clear): Clear {
  let left = count
  const done = () => {
    if (--left <= 0) clear.done?.()
  }
  if (count === 0) done()
  return { ...clear, done }
}

/** What delivery would claim, had it to ask the database. */
function freshGroup(mail: NewMessage, domain: string, clear: Clear): Group {
  const { id, messageId, headerFrom, size, policyRevision, envelope, now, content, client } = mail
  const { reversePath, body, smtpUtf8, ret, envid } = envelope
  const message: ClaimedMessage = {
    ...{ id, kind: 'mail', about: undefined, messageId, reversePath, headerFrom, acceptedAt: now, size, policyRevision },
    client: { address: client.address, authenticatedAs: client.authenticatedAs },
    envelope: { body, smtpUtf8, ...(ret !== undefined && { ret }), ...(envid !== undefined && { envid }) },
  }
  const recipients = envelope.recipients.flatMap(({ address, orcpt, notify, bcc }, index) =>
    domainOf(address) === domain
      ? [{ ...untried, id: recipientId(id, index), address, notify, bcc, ...(orcpt !== undefined && { orcpt }) }]
      : [],
  )
  const opened = { kind: 'content', fileKey: Buffer.from(mail.fileKey), payloadSha256: content.sha256, ...clear } as const
  return { message, domain, recipients, fresh: opened }
}

const untried = {
  ...{ frozen: undefined, step: 0, stepSince: undefined, attempts: 0, stepAttempts: 0, fence: 1 },
  ...{ delayNoticed: false, inDoubt: false, returning: false, unended: 0 },
} as const

/**
 * The policy that a message accepted now is planned by; 0 before there is any. Those who ask while another asks share the next answer: it is
 * of a time after they asked.
 */
function revisionInForce(db: Db): Promise<number> {
  const known = asking.get(db) ?? { ask: sharing(() => readRevision(db)) }
  asking.set(db, known)
  return known.ask()
}

const asking = new WeakMap<Db, { readonly ask: () => Promise<number> }>()

async function readRevision(db: Db): Promise<number> {
  const [row] = await db.read<{ revision: number }>(sql`SELECT COALESCE(MAX(revision), 0) AS revision FROM policy_revision`)
  return row?.revision ?? 0
}
