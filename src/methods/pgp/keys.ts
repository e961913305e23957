/** The OpenPGP keys of recipients: brought in by an admin, one for each address, and never changed silently. */
import { entry } from '../../audit/audit.ts'
import { parseAddress } from '../../mail/address.ts'
import { systemClock } from '../../ops/clock.ts'
import { type Db, expecting, type Statement, sql, Unexpected } from '../../store/db.ts'
import { type CheckedKey, checkKeyFile } from './key-check.ts'

/** `direct`: the fingerprint was compared with its owner. `approved`: an admin let it in. A plain `pgp` step takes both. */
export type Trust = 'direct' | 'approved'

/** A key as it is used for one address (canonical, lower case). Times in milliseconds since 1970. */
export type StoredKey = {
  readonly fingerprint: string
  readonly address: string
  readonly armored: string
  readonly trust: Trust
  /** Where it came from: a file name, `demo`. */
  readonly source: string
  readonly importedAt: number
  readonly expiresAt: number | null
}

export type KeyImport = {
  readonly trust: Trust
  /** Where the key came from: a file name, `demo`. */
  readonly source: string
  /** The admin approves that an address gets another key than it has. */
  readonly replace: boolean
  /** Only say what would happen. */
  readonly dryRun: boolean
  /** Milliseconds since 1970. */
  readonly now: number
  /** For the audit; default `cli`. */
  readonly actor?: string
}

/** `held`: an address has another key; nothing was changed until somebody approves it with `replace`. Else the file or one of its keys is not fit. */
export type Imported =
  | { readonly kind: 'imported'; readonly keys: readonly StoredKey[] }
  | { readonly kind: 'refused'; readonly text: string; readonly held: boolean }

/** Import a file of public keys, armored or binary: all of it with its audit entries, or nothing. Rejects only when the database does. */
export async function importKey(db: Db, file: Buffer, asked: KeyImport): Promise<Imported> {
  const checked = await checkKeyFile(file, asked.now)
  if (checked.kind === 'refused') return { ...checked, held: false }
  const fresh = checked.keys.flatMap((key) => key.addresses.map((address) => stored(key, address, asked)))
  const twice = fresh.find((one, i) => fresh.findIndex((other) => other.address === one.address) !== i)
  if (twice !== undefined)
    return { kind: 'refused', text: `the file holds two keys for ${twice.address}; import the one that its owner uses`, held: false }
  const changed = asked.replace ? undefined : await conflict(db, fresh)
  if (changed !== undefined) return changed
  if (asked.dryRun) return { kind: 'imported', keys: fresh }
  try {
    await db.write(...fresh.flatMap((key) => [put(key, asked.replace), entry(asked.now, audited(key, asked))]))
  } catch (error) {
    if (error instanceof Unexpected)
      return (
        (await conflict(db, fresh)) ?? { kind: 'refused', text: 'another import was faster; look at the keys and try again', held: true }
      )
    throw error
  }
  return { kind: 'imported', keys: fresh }
}

/** All keys, by address. */
export async function listKeys(db: Db): Promise<StoredKey[]> {
  return (await db.read<KeyRow>(sql`SELECT * FROM pgp_key ORDER BY address`)).map(fromRow)
}

/** Remove by fingerprint (spaces and case do not matter) or by address; returns the fingerprints removed, maybe none. */
export async function removeKeys(db: Db, which: string, { now = systemClock(), actor = 'cli', dryRun = false } = {}): Promise<string[]> {
  const fingerprint = which.replace(/\s+/g, '').replace(/^0x/i, '').toUpperCase()
  const address = parseAddress(which.trim())?.toLowerCase() ?? ''
  const keys = (await listKeys(db)).filter((key) => key.fingerprint === fingerprint || key.address === address)
  const statements = keys.flatMap((key) => [
    sql`DELETE FROM pgp_key WHERE address = ${key.address} AND fingerprint = ${key.fingerprint}`,
    entry(now, { actor, action: 'key.removed', object: key.address, detail: { fingerprint: key.fingerprint } }),
  ])
  if (statements.length > 0 && !dryRun) await db.write(...statements)
  return [...new Set(keys.map((key) => key.fingerprint))]
}

/** The key for an address, if it is trusted enough; whether it is still valid is asked when it is used. */
export async function keyFor(db: Db, address: string, trust: Trust): Promise<StoredKey | undefined> {
  const [row] = await db.read<KeyRow>(sql`SELECT * FROM pgp_key WHERE address = ${address.toLowerCase()}`)
  if (row === undefined) return undefined
  const key = fromRow(row)
  return trust === 'approved' || key.trust === 'direct' ? key : undefined
}

type KeyRow = {
  fingerprint: string
  address: string
  armored: string
  trust: string
  source: string
  imported_at: number
  expires_at: number | null
}

const fromRow = (row: KeyRow): StoredKey => ({
  fingerprint: row.fingerprint,
  address: row.address,
  armored: row.armored,
  trust: row.trust === 'direct' ? 'direct' : 'approved',
  source: row.source,
  importedAt: row.imported_at,
  expiresAt: row.expires_at,
})

const stored = ({ fingerprint, armored, expiresAt }: CheckedKey, address: string, { trust, source, now }: KeyImport): StoredKey => ({
  fingerprint,
  address,
  armored,
  trust,
  source,
  importedAt: now,
  expiresAt,
})

/** The first of these keys whose address has another one already. */
async function conflict(db: Db, fresh: readonly StoredKey[]): Promise<Imported | undefined> {
  const known = await listKeys(db)
  for (const key of fresh) {
    const other = known.find(({ address, fingerprint }) => address === key.address && fingerprint !== key.fingerprint)
    if (other === undefined) continue
    const text =
      `${key.address} already has key ${other.fingerprint}, and the file brings ${key.fingerprint}: a changed key is held for approval and not used. ` +
      'Compare the new fingerprint with its owner, then import it again with --replace'
    return { kind: 'refused', text, held: true }
  }
  return undefined
}

/** One key an address. Unless replacing, a row with another fingerprint stays and the whole write rolls back. */
function put(key: StoredKey, replace: boolean): Statement {
  const { fingerprint, address, armored, trust, source, importedAt, expiresAt } = key
  return expecting(
    1,
    sql`INSERT INTO pgp_key (fingerprint, address, armored, trust, source, imported_at, expires_at)
      VALUES (${fingerprint}, ${address}, ${armored}, ${trust}, ${source}, ${importedAt}, ${expiresAt})
      ON CONFLICT (address) DO UPDATE SET fingerprint = excluded.fingerprint, armored = excluded.armored, trust = excluded.trust,
        source = excluded.source, imported_at = excluded.imported_at, expires_at = excluded.expires_at
      WHERE pgp_key.fingerprint = excluded.fingerprint OR ${replace ? 1 : 0} = 1`,
  )
}

const audited = ({ address, fingerprint, trust }: StoredKey, { actor = 'cli', replace }: KeyImport) => ({
  actor,
  action: 'key.imported',
  object: address,
  detail: { fingerprint, trust, replace },
})
