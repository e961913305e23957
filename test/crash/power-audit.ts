/** What a copy of the data still holds of what was promised: the oracle of the power cuts. */

import { statSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import Database from 'better-sqlite3'
import { systemClock } from '../../src/ops/clock.ts'
import { pathOf, type Settings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { openClaimed } from '../../src/spool/claim.ts'
import { isIntact } from '../../src/spool/content.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { sql } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import type { Promised } from './power-load.ts'
import { message } from './session.ts'

export type Audited = {
  /** Ids of what was promised and is not there, or cannot be read; each with the reason. */
  readonly lost: readonly string[]
  readonly states: { readonly [state: string]: number }
  /** How many contents were opened and compared with what was submitted. */
  readonly opened: number
}

/**
 * Every message of `promised` must be there: waiting with its content, delivered (then `arrived` knows its mark), or a letter with its content.
 * Contents are opened for those of `closely`. Throws when the database itself cannot be opened.
 */
export async function audit(
  settings: Settings,
  promised: readonly Promised[],
  arrived: ReadonlySet<string>,
  closely: ReadonlySet<Promised>,
): Promise<Audited> {
  const trouble = integrity(pathOf(settings.database))
  const db = await openDatabase(settings)
  const keyring = await openKeyring(pathOf(settings.keys), systemClock)
  const parts: SpoolParts = { db, keyring, blobs: openBlobs(pathOf(settings.blobs)), clock: systemClock, settings }
  try {
    const rows = await db.read<Row>(sql`SELECT recipient.message, state, payload_sha256 FROM recipient
      LEFT JOIN content ON content.message = recipient.message`)
    const found = new Map(rows.map((row) => [row.message, row]))
    const lost = trouble === undefined ? [] : [`the database: ${trouble}`]
    const states: { [state: string]: number } = {}
    for (const one of promised) {
      const row = found.get(one.id)
      const state = row?.state ?? 'missing'
      states[state] = (states[state] ?? 0) + 1
      const why = await faultOf(parts, one, row, { arrived, closely: closely.has(one) })
      if (why !== undefined) lost.push(`${one.id} (${one.mark}, ${one.size} octets): ${why}`)
    }
    return { lost, states, opened: closely.size }
  } finally {
    keyring.close()
    await db.close()
  }
}

type Row = { message: string; state: string; payload_sha256: string | null }

/** SQLite's own check; undefined when it is content. All of a large one takes long: pages and rows always, indexes each tenth time. */
function integrity(path: string): string | undefined {
  const check = Math.random() < 0.1 ? 'integrity_check' : 'quick_check'
  const database = new Database(path)
  try {
    const answer = database.pragma(statSync(path).size < 20_000_000 ? 'integrity_check' : check, { simple: true })
    return answer === 'ok' ? undefined : String(answer)
  } finally {
    database.close()
  }
}

async function faultOf(
  parts: SpoolParts,
  { id, mark, to, size }: Promised,
  row: Row | undefined,
  { arrived, closely }: { readonly arrived: ReadonlySet<string>; readonly closely: boolean },
): Promise<string | undefined> {
  if (row === undefined) return 'no row'
  if (row.state === 'delivered') return arrived.has(mark) ? undefined : 'recorded as delivered, but it never arrived'
  if (row.payload_sha256 === null) return `${row.state}, but its content row is gone`
  if (row.state.startsWith('letter-'))
    return !closely || (await isIntact(parts, id, row.payload_sha256)) ? undefined : 'the content of its letter is not what was sealed'
  if (row.state !== 'waiting') return `its state is ${row.state}`
  if (!closely) return undefined
  const opened = await openClaimed(parts, id)
  if (opened.kind === 'damaged') return opened.text
  try {
    const clear = await buffer(opened.open())
    const content = message(mark, to, size)
    const body = content.subarray(content.indexOf('\r\n\r\n'))
    return clear.subarray(-body.length).equals(body) ? undefined : 'its content is not what was submitted'
  } catch (error) {
    return `its content cannot be read: ${error instanceof Error ? error.message : error}`
  }
}
