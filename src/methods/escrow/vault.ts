/** The vault: finds letters by their links, lets readers in by code, hands out what was sealed. */
import { Readable } from 'node:stream'
import { entry } from '../../audit/audit.ts'
import { newId } from '../../mail/id.ts'
import { counted } from '../../ops/counters.ts'
import { count } from '../../store/count.ts'
import { expecting, type Statement, sql, Unexpected } from '../../store/db.ts'
import type { Parts as MethodParts } from '../method.ts'
import type { Attachment } from './attachments.ts'
import { askForCode, codeState, noticeLetter, triesLeft, tryCode, tryPhrase } from './codes.ts'
import { type Ended, expireLetters, readTombstone } from './expiry.ts'
import { type Letter, type LetterOutside, openLetter, openMeta, readLetter } from './letter.ts'
import { composeNotMe } from './notice.ts'
import { decodeSecret, lookupOf } from './secret.ts'
import { createSenderDesk, type SenderDesk } from './sender.ts'
import { endSession, newSession, openSession, type Session, sessionId } from './session.ts'

export type { LetterOutside, LetterState } from './letter.ts'

export type Found = { readonly kind: 'letter'; readonly outside: LetterOutside } | Ended | { readonly kind: 'unknown' }

export type CodeStage = {
  readonly stage: 'code'
  /** Public id of the session, as in URLs. */
  readonly session: string
  readonly outside: LetterOutside
  /** The words in the newest code mail; '' when none was sent yet. */
  readonly words: string
  /** When the newest code was asked for; until when it works, null while its mail is on its way. Milliseconds since 1970. */
  readonly sentAt: number | null
  readonly validUntil: number | null
  readonly mayResendAt: number
  readonly triesLeft: number
  /** The code has twelve characters, not eight digits. */
  readonly long: boolean
  /** No new code was sent: use this one. */
  readonly limited?: { readonly sentAt: number; readonly words: string }
}
/** The letter's four words are asked for, which its sender tells the reader. */
export type PhraseStage = {
  readonly stage: 'passphrase'
  readonly session: string
  readonly outside: LetterOutside
  readonly triesLeft: number
}
export type OpenStage = { readonly stage: 'open'; readonly session: string; readonly outside: LetterOutside }

export type Begun = { readonly kind: 'session'; readonly cookie: string; readonly session: string } | Exclude<Found, { kind: 'letter' }>

export type Entered =
  | { readonly kind: 'open'; readonly cookie: string; readonly session: string }
  /** `busy`: too many passphrases are being tried just now; it cost no try. */
  | { readonly kind: 'empty' | 'no-tries' | 'spent' | 'lost' | 'busy' }
  | { readonly kind: 'wrong'; readonly triesLeft: number }

export type OpenedLetter = {
  readonly outside: LetterOutside
  readonly subject: string
  /** Null: not known. */
  readonly attachments: readonly Attachment[] | null
  /** Bytes of the message in clear. */
  readonly size: number
  /** The message in clear; errors when the stored payload was changed. */
  readonly content: () => Readable
}

export type Vault = {
  /** GET of a link: changes nothing but a row that says somebody, perhaps a robot, looked. Unknown links take as long as known ones. */
  readonly find: (secret: string) => Promise<Found>
  /** The press of Continue: a session, and a code on its way where the letter asks for one. */
  readonly begin: (secret: string, client: string) => Promise<Begun>
  /** Where a browser stands; undefined when its session is over or the letter ended. */
  readonly session: (cookie: string) => Promise<CodeStage | PhraseStage | OpenStage | undefined>
  /** The press of "send a new code". */
  readonly sendCode: (cookie: string) => Promise<CodeStage | undefined>
  /** A code, or the words of a passphrase. Empty or malformed input is no try. What is right gives a new cookie: the old one is void. */
  readonly enterCode: (cookie: string, input: string, client: string) => Promise<Entered>
  /** The letter of a browser that gave its proof; the first time it is marked read, in letter and audit. */
  readonly read: (cookie: string) => Promise<OpenedLetter | undefined>
  readonly leave: (cookie: string) => Promise<void>
  /** The press of "Not you? Tell us": the sender is told, once a letter. */
  readonly notMe: (secret: string) => Promise<void>
  /** End letters past their date; call every minute. Returns how many ended. */
  readonly expire: () => Promise<number>
  /** What the sender's link is for. */
  readonly sender: SenderDesk
}

type Parts = Pick<MethodParts, 'db' | 'keyring' | 'spool' | 'settings' | 'clock' | 'log'> & {
  /** Told when a letter is read for the first time, so many milliseconds after it was sealed. */
  readonly timed?: (milliseconds: number) => void
}

/** The vault over the given database, keys and spool. */
export function createVault(parts: Parts): Vault {
  const alarm = createAlarm(parts)
  return {
    find: async (secret) => {
      const found = await seek(parts, alarm, secret)
      if (found.kind !== 'letter') return found
      noteVisit(parts, found.letter)
      return { kind: 'letter', outside: found.letter.outside }
    },
    begin: (secret) => begin(parts, alarm, secret),
    session: async (cookie) => {
      const standing = await stand(parts, alarm, cookie)
      return standing && stageOf(parts, standing)
    },
    sendCode: (cookie) => resend(parts, alarm, cookie),
    enterCode: (cookie, input, client) => enterCode(parts, alarm, { cookie, input, client }),
    read: (cookie) => read(parts, alarm, cookie),
    leave: async (cookie) => {
      const id = sessionId(cookie)
      if (id !== undefined) await parts.db.write(endSession(id))
    },
    notMe: (secret) => notMe(parts, alarm, secret),
    expire: () => expireLetters(parts),
    sender: createSenderDesk(parts, alarm),
  }
}

/** Something of this letter is not what was sealed. */
export type Alarm = (letter: string, what: string) => Promise<void>

/** Tells the audit of a letter that is not what we sealed; once an hour, so that reloading the page does not fill it. */
function createAlarm({ db, clock, log }: Parts): Alarm {
  const told = new Map<string, number>()
  return async (letter, what) => {
    const now = clock()
    if (now - (told.get(letter) ?? Number.NEGATIVE_INFINITY) < 3_600_000) return
    if (told.size > 10_000) told.clear()
    told.set(letter, now)
    log.error({ letter, what }, 'a letter in the database is not what was sealed; it is not shown')
    await db.write(entry(now, { actor: 'portal', action: 'letter.altered', object: letter, detail: { what } }))
  }
}

type Sought = { readonly kind: 'letter'; readonly letter: Letter; readonly secret: Buffer } | Exclude<Found, { kind: 'letter' }>

async function seek(parts: Parts, alarm: Alarm, text: string): Promise<Sought> {
  const decoded = decodeSecret(text)
  const secret = decoded ?? Buffer.alloc(20)
  const lookup = lookupOf(secret)
  const [found, tombstone] = await Promise.all([readLetter(parts, lookup), readTombstone(parts, lookup)])
  if (decoded === undefined) return { kind: 'unknown' }
  if (found.kind === 'none') return tombstone ?? { kind: 'unknown' }
  if (found.kind === 'altered') {
    await alarm(found.id, 'row, header or payload')
    return { kind: 'unknown' }
  }
  const { letter } = found
  if (letter.binding.expiresAt <= parts.clock()) return { kind: 'expired', outside: { ...letter.outside, state: 'expired' } }
  return { kind: 'letter', letter, secret }
}

/** Not waited for, so that a known link takes no longer than an unknown one. */
function noteVisit({ db, clock, log }: Parts, letter: Letter): void {
  const noted = async () => {
    const { id, row } = visit(letter, clock(), 'visit')
    const [known] = await db.read(sql`SELECT id FROM letter_visit WHERE id = ${id}`)
    if (known === undefined) await db.write(expecting(1, row), ...countVisit('visit'))
  }
  noted().catch((error: unknown) => {
    if (!(error instanceof Unexpected)) log.warn({ err: error }, 'a visit could not be recorded') // else another came first
  })
}

/** At most one row a minute of a kind and letter, however often a robot comes. */
function visit({ binding: { letter } }: Letter, now: number, kind: 'visit' | 'continue'): { readonly id: string; readonly row: Statement } {
  const id = `${letter}-${kind}-${Math.floor(now / 60_000)}`
  return { id, row: sql`INSERT INTO letter_visit (id, letter, at, kind) VALUES (${id}, ${letter}, ${now}, ${kind}) ON CONFLICT DO NOTHING` }
}

const countVisit = (kind: 'visit' | 'continue' | 'read' | 'not-me'): Statement[] =>
  count([counted('letterlock_link_visits_total', { kind })])

async function begin(parts: Parts, alarm: Alarm, text: string): Promise<Begun> {
  const sought = await seek(parts, alarm, text)
  if (sought.kind !== 'letter') return sought
  const { letter, secret } = sought
  const now = parts.clock()
  const pressed = [visit(letter, now, 'continue').row, ...countVisit('continue')]
  if (letter.proof === 'link') {
    const opened = await open(parts, alarm, letter, openLetter(parts.keyring, letter, secret))
    if (opened === undefined) return { kind: 'unknown' }
    await parts.db.write(opened.statement, ...pressed)
    return { kind: 'session', cookie: opened.cookie, session: opened.session }
  }
  if (letter.proof === 'second-factor') return { kind: 'unknown' } // never with less than was asked for
  const { cookie, session, statement } = newSession(now, letter.binding.letter, { stage: 'code', secret: text.toLowerCase() })
  if (letter.proof === 'passphrase') await parts.db.write(statement, ...pressed)
  else await askForCode(parts, letter, { keep: true, more: [statement, ...pressed] })
  return { kind: 'session', cookie, session }
}

/** A session that may read, once header and payload are shown to be what was sealed. */
async function open(parts: Parts, alarm: Alarm, letter: Letter, fileKey: Buffer | undefined) {
  const { binding, header } = letter
  if (fileKey === undefined || openMeta(letter, fileKey) === undefined) {
    await alarm(binding.letter, 'header')
    return undefined
  }
  if (!(await parts.spool.intact(binding.message, binding.payloadSha256))) {
    await alarm(binding.letter, 'payload')
    return undefined
  }
  const opened = newSession(parts.clock(), binding.letter, { stage: 'open', lookup: header.lookup, fileKey: fileKey.toString('base64') })
  fileKey.fill(0)
  return opened
}

type Standing = { readonly session: Session; readonly letter: Letter }

async function stand(parts: Parts, alarm: Alarm, cookie: string): Promise<Standing | undefined> {
  const session = await openSession(parts, cookie)
  if (session === undefined) return undefined
  const { inside } = session
  if (inside.stage === 'sender') return undefined // the sender's link opens no letter here
  const lookup = inside.stage === 'open' ? inside.lookup : lookupOf(decodeSecret(inside.secret) ?? Buffer.alloc(20))
  const found = await readLetter(parts, lookup)
  if (found.kind === 'altered') await alarm(found.id, 'row, header or payload')
  if (found.kind !== 'letter' || found.letter.binding.letter !== session.letter) return undefined
  return found.letter.binding.expiresAt <= parts.clock() ? undefined : { session, letter: found.letter }
}

async function stageOf(parts: Parts, { session, letter }: Standing): Promise<CodeStage | PhraseStage | OpenStage> {
  const { outside } = letter
  if (session.inside.stage === 'open') return { stage: 'open', session: session.inside.session, outside }
  if (letter.proof === 'passphrase')
    return { stage: 'passphrase', session: session.inside.session, outside, triesLeft: await triesLeft(parts, session.id) }
  const [state, left] = await Promise.all([codeState(parts, letter), triesLeft(parts, session.id)])
  return { stage: 'code', session: session.inside.session, outside, ...state, triesLeft: left }
}

async function resend(parts: Parts, alarm: Alarm, cookie: string): Promise<CodeStage | undefined> {
  const standing = await stand(parts, alarm, cookie)
  if (standing === undefined || standing.session.inside.stage !== 'code' || standing.letter.proof === 'passphrase') return undefined
  const { kind } = await askForCode(parts, standing.letter, { keep: false, more: [] })
  const stage = await stageOf(parts, standing)
  if (stage.stage !== 'code') return undefined
  return kind === 'limited' && stage.sentAt !== null ? { ...stage, limited: { sentAt: stage.sentAt, words: stage.words } } : stage
}

async function enterCode(
  parts: Parts,
  alarm: Alarm,
  { cookie, input, client }: { readonly cookie: string; readonly input: string; readonly client: string },
): Promise<Entered> {
  const standing = await stand(parts, alarm, cookie)
  if (standing === undefined) return { kind: 'lost' }
  const { session, letter } = standing
  if (session.inside.stage === 'open') return { kind: 'open', cookie, session: session.inside.session }
  const secret = decodeSecret(session.inside.secret) ?? Buffer.alloc(20)
  const typed = { session: session.id, input, client }
  const tried = letter.proof === 'passphrase' ? await tryPhrase(parts, letter, { ...typed, secret }) : await tryCode(parts, letter, typed)
  if (tried.kind !== 'right') return tried
  const opened = await open(parts, alarm, letter, tried.fileKey ?? openLetter(parts.keyring, letter, secret))
  if (opened === undefined) return { kind: 'lost' }
  // A new id on every rise of rights; the link's secret goes with the old row.
  await parts.db.write(...tried.statements, endSession(session.id), opened.statement)
  return { kind: 'open', cookie: opened.cookie, session: opened.session }
}

async function read(parts: Parts, alarm: Alarm, cookie: string): Promise<OpenedLetter | undefined> {
  const standing = await stand(parts, alarm, cookie)
  if (standing === undefined || standing.session.inside.stage !== 'open') return undefined
  const { letter, session } = standing
  const fileKey = Buffer.from(session.inside.stage === 'open' ? session.inside.fileKey : '', 'base64')
  const meta = openMeta(letter, fileKey)
  if (meta === undefined) {
    await alarm(letter.binding.letter, 'subject')
    return undefined
  }
  if (letter.outside.state !== 'read') await markRead(parts, letter)
  return {
    outside: { ...letter.outside, state: 'read' },
    subject: meta.subject,
    attachments: meta.attachments,
    size: letter.size,
    content: () => Readable.from(contentOf(parts, letter, fileKey), { objectMode: false }),
  }
}

async function* contentOf({ spool }: Parts, { binding }: Letter, fileKey: Buffer): AsyncGenerator<Buffer, void> {
  const content = await spool.open(binding.message, fileKey)
  if (content === undefined) throw new Error(`the content of letter ${binding.shown.reference} is gone`)
  yield* content as AsyncIterable<Buffer>
}

async function markRead({ db, clock, timed }: Parts, { binding, outside }: Letter): Promise<void> {
  const now = clock()
  const id = binding.letter
  const statements: Statement[] = [
    expecting(1, sql`UPDATE letter SET state = 'read', read_at = ${now} WHERE id = ${id} AND read_at IS NULL AND ended_at IS NULL`),
    sql`UPDATE recipient SET state = 'letter-read' WHERE id = ${binding.recipient} AND state LIKE 'letter-%'`,
    sql`INSERT INTO letter_visit (id, letter, at, kind) VALUES (${newId(now)}, ${id}, ${now}, 'read')`,
    entry(now, { actor: 'portal', action: 'letter.read', object: id, detail: { to: binding.address, proof: binding.proof } }),
    ...countVisit('read'),
  ]
  try {
    await db.write(...statements)
    timed?.(Math.max(0, now - outside.createdAt))
  } catch (error) {
    if (!(error instanceof Unexpected)) throw error // another window was first
  }
}

async function notMe(parts: Parts, alarm: Alarm, text: string): Promise<void> {
  const sought = await seek(parts, alarm, text)
  if (sought.kind !== 'letter') return
  const { db, clock, spool } = parts
  const { binding } = sought.letter
  const id = `${binding.letter}-not-me`
  const [told] = await db.read(sql`SELECT id FROM letter_visit WHERE id = ${id}`)
  if (told !== undefined) return
  const now = clock()
  const mail = binding.shown.senderAddress === '' ? { statements: [] } : spool.draft(await composeNotMe(parts, noticeLetter(sought.letter)))
  try {
    await db.write(
      expecting(
        1,
        sql`INSERT INTO letter_visit (id, letter, at, kind) VALUES (${id}, ${binding.letter}, ${now}, 'not-me') ON CONFLICT DO NOTHING`,
      ),
      ...mail.statements,
      entry(now, { actor: 'portal', action: 'letter.not-me', object: binding.letter, detail: { to: binding.address } }),
      ...countVisit('not-me'),
    )
    spool.wake()
  } catch (error) {
    if (!(error instanceof Unexpected)) throw error // pressed twice at once
  }
}
