/** What a sender may do with the link to a letter: see how it stands, cancel it, or hand it over another way than by its notice. */
import { entry } from '../../audit/audit.ts'
import { type Waiting, waitingOriginal, withdraw } from '../../spool/withdraw.ts'
import { type Statement, sql, Unexpected } from '../../store/db.ts'
import type { Parts as MethodParts } from '../method.ts'
import { type Ended, ending, readTombstone } from './expiry.ts'
import { prepareHandOver } from './hand-over.ts'
import { type Letter, type LetterOutside, readLetter } from './letter.ts'
import { isInside } from './offer.ts'
import { decodeSecret, lookupOf } from './secret.ts'
import { endSession, newSession, openSession, sessionId } from './session.ts'
import type { Alarm } from './vault.ts'

/** How a letter stands, for its sender; never what is in it. Milliseconds since 1970. */
export type SenderView = {
  readonly outside: LetterOutside
  readonly notifiedAt: number | null
  readonly readAt: number | null
  readonly handedOver: boolean
  readonly mayHandOver: boolean
  /** The notice that still waits: what its host said last, and when it is tried again. */
  readonly notice?: { readonly lastReply: string; readonly nextAttemptAt: number }
}

export type SenderFound = { readonly kind: 'letter'; readonly view: SenderView } | Ended | { readonly kind: 'unknown' }
export type SenderBegun =
  | { readonly kind: 'session'; readonly cookie: string; readonly session: string }
  | Exclude<SenderFound, { kind: 'letter' }>

/**
 * `busy`: its notice is being attempted at this moment. `limited`: it was done too often within an hour. `stale`: the letter is not in a state
 * for it any more. `lost`: no session.
 */
export type Pressed = 'done' | 'busy' | 'limited' | 'stale' | 'lost'

export type SenderDesk = {
  /** GET of the sender's link: changes nothing. */
  readonly find: (secret: string) => Promise<SenderFound>
  /** The press of Continue: from then on the secret is in no URL. */
  readonly begin: (secret: string) => Promise<SenderBegun>
  /** How the letter of a session stands, also when it has ended; undefined when the session is over. */
  readonly standing: (cookie: string) => Promise<Exclude<SenderFound, { kind: 'unknown' }> | undefined>
  /** Take the letter back: nobody can open it any more, and its notice is not sent. */
  readonly cancel: (cookie: string) => Promise<Pressed>
  /** Mail the sender a new link and four words, and take the notice and the old link back. */
  readonly handOver: (cookie: string) => Promise<Pressed>
  readonly leave: (cookie: string) => Promise<void>
}

type Parts = Pick<MethodParts, 'db' | 'keyring' | 'spool' | 'settings' | 'clock' | 'log'>

export function createSenderDesk(parts: Parts, alarm: Alarm): SenderDesk {
  return {
    find: async (text) => {
      const sought = await seek(parts, alarm, text)
      return sought.kind === 'letter' ? { kind: 'letter', view: await viewOf(parts, sought.letter) } : sought
    },
    begin: async (text) => {
      const sought = await seek(parts, alarm, text)
      if (sought.kind !== 'letter') return sought
      const opened = newSession(parts.clock(), sought.letter.binding.letter, { stage: 'sender', secret: text.toLowerCase() })
      await parts.db.write(opened.statement)
      return { kind: 'session', cookie: opened.cookie, session: opened.session }
    },
    standing: async (cookie) => {
      const standing = await stand(parts, alarm, cookie)
      if (standing?.kind !== 'letter') return standing
      return { kind: 'letter', view: await viewOf(parts, standing.letter) }
    },
    cancel: (cookie) => cancel(parts, alarm, cookie),
    handOver: (cookie) => handOver(parts, alarm, cookie),
    leave: async (cookie) => {
      const id = sessionId(cookie)
      if (id !== undefined) await parts.db.write(endSession(id))
    },
  }
}

type Sought = { readonly kind: 'letter'; readonly letter: Letter; readonly secret: string } | Exclude<SenderFound, { kind: 'letter' }>

async function seek(parts: Parts, alarm: Alarm, text: string): Promise<Sought> {
  const decoded = decodeSecret(text)
  const secret = decoded ?? Buffer.alloc(20)
  const lookup = lookupOf(secret, 'sender')
  const [found, tombstone] = await Promise.all([readLetter(parts, lookup, 'sender'), readTombstone(parts, lookup)])
  if (decoded === undefined) return { kind: 'unknown' }
  if (found.kind === 'altered') await alarm(found.id, 'row, header or payload')
  if (found.kind !== 'letter') return (found.kind === 'none' ? tombstone : undefined) ?? { kind: 'unknown' }
  const { letter } = found
  if (letter.binding.expiresAt <= parts.clock()) return { kind: 'expired', outside: { ...letter.outside, state: 'expired' } }
  return { kind: 'letter', letter, secret: text }
}

type Standing = (Extract<Sought, { kind: 'letter' }> | Ended) & { readonly session: string }

async function stand(parts: Parts, alarm: Alarm, cookie: string): Promise<Standing | undefined> {
  const session = await openSession(parts, cookie)
  if (session === undefined || session.inside.stage !== 'sender') return undefined
  const sought = await seek(parts, alarm, session.inside.secret)
  if (sought.kind === 'unknown') return undefined
  const id = sought.kind === 'letter' ? sought.letter.binding.letter : sought.outside.id
  return id === session.letter ? { ...sought, session: session.id } : undefined
}

async function viewOf(parts: Parts, letter: Letter): Promise<SenderView> {
  const notice = await waitingNotice(parts, letter)
  return {
    outside: letter.outside,
    ...letter.times,
    handedOver: letter.proof === 'passphrase',
    mayHandOver: mayHandOver(parts, letter, notice),
    ...(notice && { notice: { lastReply: notice.lastReply ?? '', nextAttemptAt: notice.nextAttemptAt } }),
  }
}

const waitingNotice = ({ db, clock }: Parts, { binding }: Letter) => waitingOriginal(db, 'notice', binding.letter, clock())

/** While the notice waits, or again when link and words were lost before the letter was read. */
const mayHandOver = ({ settings }: Parts, { binding, outside, proof }: Letter, notice: Waiting | undefined): boolean =>
  isInside(settings, binding.shown.senderAddress) &&
  ((outside.state === 'waiting' && notice !== undefined) || (outside.state === 'notified' && proof === 'passphrase'))

async function cancel(parts: Parts, alarm: Alarm, cookie: string): Promise<Pressed> {
  const standing = await stand(parts, alarm, cookie)
  if (standing === undefined) return 'lost'
  if (standing.kind !== 'letter') return 'stale'
  const { letter, session } = standing
  const { binding, times } = letter
  const notice = await waitingNotice(parts, letter)
  const written = await fenced(parts, [
    ...(await ending(parts, { id: binding.letter, recipient: binding.recipient }, 'recalled', session)),
    ...(notice ? withdraw(notice, {}) : []),
    entry(parts.clock(), {
      ...{ actor: 'sender', action: 'letter.recalled', object: binding.letter },
      detail: { to: binding.address, read: times.readAt !== null, noticeWaited: notice !== undefined },
    }),
  ])
  if (!written) return 'stale'
  await forget(parts, [binding.message, ...(notice ? [notice.message] : [])])
  return 'done'
}

async function handOver(parts: Parts, alarm: Alarm, cookie: string): Promise<Pressed> {
  const { spool, clock, settings } = parts
  const standing = await stand(parts, alarm, cookie)
  if (standing === undefined) return 'lost'
  if (standing.kind !== 'letter') return 'stale'
  const { letter, secret, session } = standing
  const notice = await waitingNotice(parts, letter)
  if (!mayHandOver(parts, letter, notice)) return 'stale'
  const { binding } = letter
  if ((await recentHandOvers(parts, binding.letter)) >= settings['limits.handOversPerHour']) return 'limited'
  if (!(await spool.intact(binding.message, binding.payloadSha256))) {
    await alarm(binding.letter, 'payload')
    return 'stale'
  }
  const prepared = await prepareHandOver(parts, letter, { secret, session })
  if (prepared === undefined) {
    await alarm(binding.letter, 'header')
    return 'stale'
  }
  // Not while it is being attempted: the old link, dead by then, would arrive.
  const taken = notice ? withdraw(notice, { unlessClaimed: clock() }) : []
  if (!(await fenced(parts, [...taken, ...prepared]))) return (await waitingNotice(parts, letter))?.claimed ? 'busy' : 'stale'
  spool.wake()
  await forget(parts, notice ? [notice.message] : [])
  return 'done'
}

/**
 * Each is a mail to the sender: who has the page open could fill that mailbox. Two presses at once cannot both be the last one: each is fenced
 * by the header that it replaces.
 */
async function recentHandOvers({ db, clock }: Parts, letter: string): Promise<number> {
  const [row] = await db.read<{ count: number }>(
    sql`SELECT COUNT(*) AS count FROM audit WHERE action = 'letter.handed-over' AND object = ${letter} AND at > ${clock() - hour}`,
  )
  return row?.count ?? 0
}

const hour = 3_600_000

/** Write all or nothing; false: somebody was faster. */
async function fenced({ db }: Parts, statements: readonly Statement[]): Promise<boolean> {
  try {
    await db.write(...statements)
    return true
  } catch (error) {
    if (error instanceof Unexpected) return false
    throw error
  }
}

/** What was taken back leaves the disk too; should that fail now, the sweep and the hourly round do it. */
async function forget({ spool, db, log }: Parts, messages: readonly string[]): Promise<void> {
  try {
    for (const message of messages) await spool.forget(message)
    await db.scrub()
  } catch (error) {
    log.error({ err: error }, 'what a sender took back could not be cleared off the disk at once; it is done later')
  }
}
