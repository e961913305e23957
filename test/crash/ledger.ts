/** What a crash test knows from outside the gateway: what was sent, what was answered, what arrived, and what was in flight at each fault. */
import { createHash } from 'node:crypto'
import { type Db, sql } from '../../src/store/db.ts'
import type { PartnerMail } from '../world/index.ts'

/** A mail as a client sends it: `content` begins with the field `Message-ID: <mark>` and ends with CRLF. */
export type Mail = { readonly mark: string; readonly from: string; readonly recipients: readonly string[]; readonly content: Buffer }

/**
 * How far its one submission came (nothing is ever sent twice).
 * - unsent: the connection was gone before the end of the content was handed to the network. - unanswered: it ended, and no reply came.
 * - refused: a 4yz or 5yz. - accepted: the client has read the 250.
 */
export type Fate = 'unsent' | 'unanswered' | 'refused' | 'accepted'

/** `id`: the gateway's own, from its 250. */
export type Sent = {
  readonly mark: string
  readonly sha256: string
  /** Those that were not refused. */
  recipients: readonly string[]
  fate: Fate
  id: string | undefined
}

/** `key`: whatever may be there at most once unless it was in flight at a fault (`keyOf`). */
export type Arrived = { readonly key: string; readonly sha256: string; times: number; altered: number }

export type Ledger = {
  readonly sent: ReadonlyMap<string, Sent>
  readonly arrived: ReadonlyMap<string, Arrived>
  /** The marks of all mail of which something arrived: itself, a report, a notice. */
  readonly heardOf: ReadonlySet<string>
  /** How often each key was claimed by a process when it was ended. */
  readonly inFlight: ReadonlyMap<string, number>
  /** Before its first octet leaves. */
  readonly begin: (mail: Mail) => Sent
  /** A next hop took this. */
  readonly note: (mail: PartnerMail) => void
  /** After a fault and before anything is started again: whatever is claimed may come a second time. Returns how many recipients that were. */
  readonly noteInFlight: (db: Pick<Db, 'read'>) => Promise<number>
}

/** Names what a next hop may see once: the message itself, a report about it, the notice of its letter. */
export const keyOf = (kind: 'mail' | 'report' | 'notice', mark: string, recipient: string): string => `${kind} ${mark} ${recipient}`

export function createLedger(): Ledger {
  const sent = new Map<string, Sent>()
  const arrived = new Map<string, Arrived>()
  const inFlight = new Map<string, number>()
  const heardOf = new Set<string>()
  const arrive = (key: string, sha256: string, expected: string) => {
    const seen = arrived.get(key) ?? { key, sha256, times: 0, altered: 0 }
    seen.times += 1
    if (sha256 !== expected) seen.altered += 1
    arrived.set(key, seen)
    heardOf.add(markIn(key))
  }
  return {
    sent,
    arrived,
    heardOf,
    inFlight,
    begin: ({ mark, recipients, content }) => {
      const begun: Sent = { mark, recipients, sha256: sha256(content), fate: 'unsent', id: undefined }
      sent.set(mark, begun)
      return begun
    },
    note: (mail) => {
      for (const { key, hash } of readArrivals(mail)) arrive(key, hash, hash === '' ? '' : (sent.get(markIn(key))?.sha256 ?? hash))
    },
    noteInFlight: async (db) => {
      const claimed = await claimedKeys(db)
      for (const key of claimed) inFlight.set(key, (inFlight.get(key) ?? 0) + 1)
      return claimed.length
    },
  }
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const markIn = (key: string): string => key.split(' ')[1] ?? ''

/** A mail of ours is hashed from its Message-ID on: what stands above it was added on the way. */
function readArrivals({ content, recipients }: PartnerMail): { readonly key: string; readonly hash: string }[] {
  const end = content.indexOf('\r\n\r\n')
  const header = content.subarray(0, end < 0 ? content.length : end).toString('latin1')
  const at = /(?:^|\n)(?=Message-ID: <crash-)/.exec(header)
  if (at !== null) {
    const from = at.index + at[0].length
    const mark = /<(crash-[^>]+)>/.exec(header.slice(from))?.[1] ?? ''
    const hash = sha256(content.subarray(from))
    return recipients.map(({ address }) => ({ key: keyOf('mail', mark, address), hash }))
  }
  const text = content.toString('latin1')
  const mark = /<(crash-[^>]+)>/.exec(text)?.[1]
  if (mark === undefined) return []
  if (/multipart\/report/.test(header))
    return [...text.matchAll(/^Final-Recipient: rfc822; ?(\S+)/gim)].map(([, to = '']) => ({ key: keyOf('report', mark, to), hash: '' }))
  return recipients.map(({ address }) => ({ key: keyOf('notice', mark, address), hash: '' }))
}

type Claimed = {
  kind: string
  message_id: string
  address: string
  origin: string | null
  letter_origin: string | null
  letter_to: string | null
}

/** A report is in flight for every recipient it may name: `keyOf('report', mark, '*')`. */
async function claimedKeys(db: Pick<Db, 'read'>): Promise<string[]> {
  const rows = await db.read<Claimed>(sql`
    SELECT message.kind, message.message_id, recipient.address, origin.message_id AS origin, letter.address AS letter_to,
      letter_message.message_id AS letter_origin
    FROM recipient JOIN message ON message.id = recipient.message
      LEFT JOIN message AS origin ON origin.id = message.about
      LEFT JOIN letter ON letter.id = message.about LEFT JOIN message AS letter_message ON letter_message.id = letter.message
    WHERE recipient.state = 'waiting' AND recipient.claimed_until > 0`)
  return rows.map(({ kind, message_id, address, origin, letter_origin }) => {
    if (kind === 'dsn') return keyOf('report', bare(origin ?? ''), '*')
    if (kind === 'notice') return keyOf('notice', bare(letter_origin ?? ''), address)
    return keyOf('mail', bare(message_id), address)
  })
}

const bare = (messageId: string): string => messageId.replace(/^<|>$/g, '')
