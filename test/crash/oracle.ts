/**
 * Judges a gateway after faults: whatever a client was told 250 for is delivered, waiting, bounced with a report, or held as a letter; nothing
 * came twice that was not in flight at a fault; nothing was altered; nothing exists that nobody sent; database, chain and blobs are sound.
 */
import { createHash } from 'node:crypto'
import { verifyChain } from '../../src/audit/audit.ts'
import type { Blobs } from '../../src/store/blobs.ts'
import { type Db, sql } from '../../src/store/db.ts'
import { type Arrived, keyOf, type Ledger, type Sent } from './ledger.ts'

/** Counts are of recipients. Each line of `faults` is a sentence; an empty list is a pass. */
export type Judgement = {
  readonly messages: number
  readonly accepted: number
  readonly delivered: number
  readonly waiting: number
  readonly bounced: number
  readonly letters: number
  readonly held: number
  readonly lost: number
  /** Second and later arrivals, all of them in flight at a fault unless `faults` says otherwise. */
  readonly duplicates: number
  /** Recipients that were claimed when a process was ended, all faults together. */
  readonly inFlight: number
  readonly faults: readonly string[]
}

/** `db` and `blobs` of the gateway, which may be running. Ask for the faults of the stored form with `soundness`. */
export async function judge(ledger: Ledger, { db, blobs }: { readonly db: Pick<Db, 'read'>; readonly blobs: Blobs }): Promise<Judgement> {
  const stored = await readStored(db)
  const faults: string[] = []
  const counts = { delivered: 0, waiting: 0, bounced: 0, letters: 0, held: 0, lost: 0 }
  const contents = contentChecker(db, blobs)
  const accepted = [...ledger.sent.values()].filter(({ fate }) => fate === 'accepted')
  for (const sent of accepted) {
    for (const address of sent.recipients) {
      const found = await whereIs(sent, address, ledger, stored, contents)
      counts[found.where] += 1
      if (found.fault !== undefined) faults.push(`${sent.mark} (${sent.id}) for ${address}: ${found.fault}`)
    }
  }
  for (const sent of ledger.sent.values()) faults.push(...phantoms(sent, ledger, stored))
  const repeated = judgeArrivals(ledger)
  return {
    messages: accepted.length,
    accepted: accepted.reduce((sum, { recipients }) => sum + recipients.length, 0),
    ...counts,
    duplicates: repeated.duplicates,
    inFlight: [...ledger.inFlight.values()].reduce((sum, times) => sum + times, 0),
    faults: [...faults, ...repeated.faults],
  }
}

type Place = 'delivered' | 'waiting' | 'bounced' | 'letters' | 'held' | 'lost'
type Found = { readonly where: Place; readonly fault?: string }

async function whereIs(sent: Sent, address: string, ledger: Ledger, stored: Stored, contents: ContentChecker): Promise<Found> {
  const arrived = ledger.arrived.has(keyOf('mail', sent.mark, address))
  const row = stored.recipients.get(`${sent.mark} ${address}`)
  if (row === undefined) return { where: arrived ? 'delivered' : 'lost', fault: 'accepted by 250, and no row of it is in the database' }
  if (sent.id !== undefined && row.message !== sent.id) return { where: 'lost', fault: `its row belongs to message ${row.message}` }
  if (arrived) return { where: 'delivered', ...(row.state.startsWith('letter') && { fault: 'delivered, and a letter as well' }) }
  switch (row.state) {
    case 'waiting':
    case 'held': {
      const damage = await contents(row.message)
      if (damage !== undefined) return { where: 'lost', fault: `${row.state}, but ${damage}` }
      return { where: row.state }
    }
    case 'bounced': {
      const reported = ledger.arrived.has(keyOf('report', sent.mark, address)) || stored.reportsWaiting.has(row.message)
      return reported ? { where: 'bounced' } : { where: 'lost', fault: 'bounced, and no report is delivered or waiting' }
    }
    case 'delivered':
      return { where: 'lost', fault: 'marked delivered, and no next hop has it' }
    default: {
      const letter = stored.letters.get(row.id)
      if (!row.state.startsWith('letter')) return { where: 'lost', fault: `in the state ${row.state}` }
      if (letter === undefined || letter.headers === 0) return { where: 'lost', fault: 'a letter without its rows' }
      if (letter.notices === 0) return { where: 'lost', fault: 'a letter without a notice' }
      const damage = await contents(row.message)
      return damage === undefined ? { where: 'letters' } : { where: 'lost', fault: `a letter, but ${damage}` }
    }
  }
}

/** Mail that its client never finished, or was told to keep, must not exist here. */
function phantoms(sent: Sent, ledger: Ledger, stored: Stored): string[] {
  if (sent.fate !== 'unsent' && sent.fate !== 'refused') return []
  return sent.recipients.flatMap((address) => {
    if (ledger.arrived.has(keyOf('mail', sent.mark, address))) return [`${sent.mark} was ${sent.fate}, and arrived at ${address}`]
    return stored.recipients.has(`${sent.mark} ${address}`) ? [`${sent.mark} was ${sent.fate}, and is in the database`] : []
  })
}

function judgeArrivals({ arrived, sent, inFlight }: Ledger): { readonly duplicates: number; readonly faults: readonly string[] } {
  const faults: string[] = []
  let duplicates = 0
  for (const one of arrived.values()) {
    const [kind = '', mark = ''] = one.key.split(' ')
    if (!sent.has(mark)) faults.push(`${one.key} arrived, and nobody sent it`)
    if (one.altered > 0) faults.push(`${one.key} arrived altered ${one.altered} times`)
    duplicates += one.times - 1
    const excused = inFlight.get(one.key) ?? (kind === 'report' ? inFlight.get(keyOf('report', mark, '*')) : undefined) ?? 0
    if (one.times - 1 > excused) faults.push(tooOften(one, excused))
  }
  return { duplicates, faults }
}

const tooOften = ({ key, times }: Arrived, excused: number): string =>
  `${key} arrived ${times} times, but was in flight at ${excused === 0 ? 'no fault' : `${excused} faults only`}`

type RecipientRow = { id: string; message: string; message_id: string; address: string; state: string }
type LetterRow = { recipient: string; headers: number; notices: number }
type Stored = {
  readonly recipients: ReadonlyMap<string, RecipientRow>
  readonly letters: ReadonlyMap<string, LetterRow>
  /** Ids of messages with a report in the queue. */
  readonly reportsWaiting: ReadonlySet<string>
}

async function readStored(db: Pick<Db, 'read'>): Promise<Stored> {
  const rows = await db.read<RecipientRow>(sql`
    SELECT recipient.id, recipient.message, message.message_id, recipient.address, recipient.state
    FROM recipient JOIN message ON message.id = recipient.message WHERE message.kind = 'mail'`)
  const letters = await db.read<LetterRow>(sql`
    SELECT letter.recipient, (SELECT COUNT(*) FROM letter_header WHERE letter_header.letter = letter.id) AS headers,
      notices.number AS notices
    FROM letter LEFT JOIN (SELECT about, COUNT(*) AS number FROM message WHERE kind = 'notice' GROUP BY about) AS notices
      ON notices.about = letter.id`)
  const reports = await db.read<{ about: string }>(sql`
    SELECT message.about FROM message JOIN recipient ON recipient.message = message.id
    WHERE message.kind = 'dsn' AND recipient.state IN ('waiting', 'held')`)
  return {
    recipients: new Map(rows.map((row) => [`${row.message_id.replace(/^<|>$/g, '')} ${row.address}`, row])),
    letters: new Map(letters.map((row) => [row.recipient, { ...row, notices: row.notices ?? 0 }])),
    reportsWaiting: new Set(reports.map(({ about }) => about)),
  }
}

/** What is wrong with a message's stored content; undefined: nothing. */
type ContentChecker = (messageId: string) => Promise<string | undefined>

function contentChecker(db: Pick<Db, 'read'>, blobs: Blobs): ContentChecker {
  const checked = new Map<string, Promise<string | undefined>>()
  const check = async (messageId: string): Promise<string | undefined> => {
    const [row] = await db.read<{ inline_payload: Buffer | null; blob: string | null; payload_sha256: string }>(
      sql`SELECT inline_payload, blob, payload_sha256 FROM content WHERE message = ${messageId}`,
    )
    if (row === undefined) return 'its content is gone'
    const hash = createHash('sha256')
    try {
      for await (const chunk of row.inline_payload === null ? blobs.open(row.blob ?? '') : [row.inline_payload]) hash.update(chunk)
    } catch (error) {
      return `its content cannot be read (${error instanceof Error ? error.message : String(error)})`
    }
    return hash.digest('hex') === row.payload_sha256 ? undefined : 'its content was altered'
  }
  return (messageId) => {
    const found = checked.get(messageId) ?? check(messageId)
    checked.set(messageId, found)
    return found
  }
}

/**
 * What is wrong with the stored form: the engine's own check (SQLite), the audit chain, counters, blobs without a row and rows without a blob. Orphans
 * are looked for only after a start that had the chance to sweep them, and while nothing is received (`swept`).
 */
export async function soundness(
  { db, blobs }: { readonly db: Db; readonly blobs: Blobs },
  { engine = 'sqlite', swept = false }: { readonly engine?: 'sqlite' | 'postgres'; readonly swept?: boolean } = {},
): Promise<string[]> {
  const faults: string[] = []
  if (engine === 'sqlite') {
    const rows = await db.read<{ integrity_check: string }>(sql`SELECT integrity_check FROM pragma_integrity_check`)
    if (rows[0]?.integrity_check !== 'ok') faults.push(`the integrity check of the database: ${rows[0]?.integrity_check}`)
  }
  const chain = await verifyChain(db)
  if (chain.kind === 'broken') faults.push(`the audit chain: ${chain.text}`)
  faults.push(...(await miscounts(db)))
  const named = new Set((await db.read<{ blob: string }>(sql`SELECT blob FROM content WHERE blob IS NOT NULL`)).map(({ blob }) => blob))
  const there = new Set<string>()
  for await (const name of blobs.list()) there.add(name)
  for (const name of named) if (!there.has(name)) faults.push(`the blob ${name} is in the database and not on the disk`)
  if (swept) for (const name of there) if (!named.has(name)) faults.push(`the blob ${name} is on the disk and not in the database`)
  return faults
}

/** Counters that differ from what they count; looked at in one statement, for mail may come and go meanwhile. */
async function miscounts(db: Pick<Db, 'read'>): Promise<string[]> {
  const [row] = await db.read<{ accepted: number; mails: number; attempts: number; decided: number; decisions: number }>(sql`SELECT
    (SELECT COALESCE(SUM(count), 0) FROM counter WHERE name = 'letterlock_messages_accepted_total') AS accepted,
    (SELECT COUNT(*) FROM message WHERE kind = 'mail') AS mails,
    (SELECT COALESCE(SUM(count), 0) FROM counter WHERE name IN ('letterlock_deliveries_total', 'letterlock_own_mail_total')) AS attempts,
    (SELECT COALESCE(SUM(count), 0) FROM counter WHERE name IN ('letterlock_decisions_total', 'letterlock_own_mail_total')) AS decided,
    (SELECT COUNT(*) FROM decision) AS decisions`)
  if (row === undefined) return []
  const { accepted, mails, attempts, decided, decisions } = row
  return [
    ...(accepted === mails ? [] : [`${mails} messages were accepted, and ${accepted} counted`]),
    ...(attempts === decisions && decided === decisions
      ? []
      : [`${decisions} attempts are recorded, and ${attempts} and ${decided} counted`]),
  ]
}
