/** Signs the policy revisions of the time before there were signatures, once in the life of an installation. */
import { entry } from '../audit/audit.ts'
import type { Clock } from '../ops/clock.ts'
import { makeSecretText, readSecretText } from '../seal/key-files.ts'
import type { Signer } from '../seal/signer.ts'
import { type Db, sql } from '../store/db.ts'
import { type SignedRevision, signRevision } from './signature.ts'

/** In the folder of keys, where whoever can only write the database cannot take it away to have a planted revision signed. */
const mark = 'policies-signed'

/**
 * Sign what has no signature, unless this was done before: from then on a revision without one is a planted one. For the serving process,
 * at its start. Returns how many were signed.
 */
export async function signFormer(db: Db, signer: Signer, keyFolder: string, clock: Clock): Promise<number> {
  if (readSecretText(keyFolder, mark) !== undefined) return 0
  const rows = await db.read<SignedRevision>(sql`SELECT * FROM policy_revision WHERE signature IS NULL ORDER BY revision`)
  const now = clock()
  const detail = { revisions: rows.map(({ revision }) => revision) }
  if (rows.length > 0)
    await db.write(
      ...rows.map(
        (row) =>
          sql`UPDATE policy_revision SET signature = ${signRevision(signer, row)} WHERE revision = ${row.revision} AND signature IS NULL`,
      ),
      entry(now, { actor: 'system', action: 'policy.signed', object: 'policies', detail }),
    )
  await makeSecretText(keyFolder, mark, `${new Date(now).toISOString()} ${rows.length} revisions\n`)
  return rows.length
}
