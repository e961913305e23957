/** Reads the audit trail, newest first, a page at a time. */
import { type Db, sql } from '../store/db.ts'

/** `at` in milliseconds since 1970; `seq` and `hash` are null until the entry is chained, within a second. */
export type AuditTrace = {
  readonly id: string
  readonly at: number
  readonly actor: string
  readonly action: string
  readonly object: string
  readonly detail: unknown
  readonly seq: number | null
  readonly hash: string | null
}

export type AuditFilter = {
  readonly actor?: string
  readonly action?: string
  readonly object?: string
  /** Only what comes after this entry in the list. */
  readonly after?: { readonly at: number; readonly id: string }
  readonly limit: number
}

/** Each part of the filter must fit whole. */
export async function listAudit(db: Db, { actor = '', action = '', object = '', after, limit }: AuditFilter): Promise<AuditTrace[]> {
  const { at, id } = after ?? { at: Number.MAX_SAFE_INTEGER, id: '' }
  const rows = await db.read<Omit<AuditTrace, 'detail'> & { detail: string }>(sql`
    SELECT id, at, actor, action, object, detail, seq, hash FROM audit
    WHERE (at < ${at} OR (at = ${at} AND id < ${id}))
      AND (${actor} = '' OR actor = ${actor}) AND (${action} = '' OR action = ${action}) AND (${object} = '' OR object = ${object})
    ORDER BY at DESC, id DESC LIMIT ${limit}`)
  return rows.map((row) => ({ ...row, detail: JSON.parse(row.detail) as unknown }))
}
