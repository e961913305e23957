/** Whether keys and database belong together: where one was lost, an empty new one must not take its place without a word. */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CommandError } from '../ops/errors.ts'
import { pathOf, type Settings } from '../ops/settings.ts'
import { makeSecretText } from '../seal/key-files.ts'
import type { Keyring } from '../seal/keyring.ts'
import { type Db, sql } from '../store/db.ts'
import type { SpoolParts } from './parts.ts'

type Places = Pick<Settings, 'database' | 'keys' | 'blobs'>

const permanent = ['mac.key', 'salt.key', 'sign.key']
/** Lies beside the keys once a database was used with them. */
const inUse = 'in-use'

/**
 * Before the keys are opened, which makes what is missing: throws CommandError 69 where the database has held mail and its keys are gone. The
 * epoch keys are no part of this: a backup lacks them.
 */
export async function refuseLostKeys(db: Db, settings: Places): Promise<void> {
  const folder = pathOf(settings.keys)
  const missing = permanent.filter((name) => !existsSync(join(folder, name)))
  if (missing.length === 0 || !(await wasUsed(db))) return
  throw new CommandError(
    'unavailable',
    `${databaseName(settings)} has held mail, but ${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} missing from ${folder}: without the keys no waiting mail and no letter can be opened. Put that folder back from a backup, or correct the setting keys. Only if all that mail may be lost: start with a new database and an empty folder of blobs.`,
  )
}

/** Before the folder of blobs is opened, which makes it: throws CommandError 69 where mail lies in it and it is not there, or not mounted. */
export async function refuseLostBlobs(db: Db, settings: Places): Promise<void> {
  const folder = pathOf(settings.blobs)
  if (existsSync(join(folder, 'tmp'))) return
  const [content] = await db.read<{ count: number }>(sql`SELECT COUNT(*) AS count FROM content WHERE blob IS NOT NULL`)
  if (content === undefined || content.count === 0) return
  throw new CommandError(
    'unavailable',
    `the folder of blobs ${folder} is missing, and the content of ${content.count} messages lies there. Mount it or put it back, or correct the setting blobs. Only if it is lost for good: make the empty folder ${join(folder, 'tmp')}; those messages are then held.`,
  )
}

/** Throws CommandError 69 where the keys have been used with another database than this; else remembers that they belong together. */
export async function refuseStrangers({ db, keyring, clock, settings }: SpoolParts): Promise<void> {
  const folder = pathOf(settings.keys)
  const ours = fingerprint(keyring)
  const marked = existsSync(join(folder, inUse))
  const known = (await belongsTo(db)) ?? (marked ? undefined : await remember(db, ours, clock()))
  if (known === undefined)
    throw new CommandError(
      'unavailable',
      `the keys in ${folder} have been used with a database, but ${databaseName(settings)} is new: mail and letters of the former one would be forgotten, and their content removed. Put the database back from a backup, or correct the setting database. Only if all of that may be lost: move ${folder} and ${pathOf(settings.blobs)} away and start again.`,
    )
  if (known !== ours)
    throw new CommandError(
      'unavailable',
      `${databaseName(settings)} belongs to other keys than those in ${folder}: its mail and letters cannot be opened with them. Put back the database and the keys of one and the same installation, or correct the settings database and keys.`,
    )
  if (!marked) await makeSecretText(folder, inUse, `A database has been used with these keys; its name stands in the settings.\n`)
}

const belongsTo = async (db: Db): Promise<string | undefined> =>
  (await db.read<{ keys: string }>(sql`SELECT keys FROM installation`))[0]?.keys

/** Also a database of an earlier version, that has no such row. */
async function wasUsed(db: Db): Promise<boolean> {
  return (await belongsTo(db)) !== undefined || (await db.read(sql`SELECT id FROM message LIMIT 1`)).length > 0
}

/** Another process may be faster: the first one counts. */
async function remember(db: Db, ours: string, now: number): Promise<string | undefined> {
  await db.write(sql`INSERT INTO installation (keys, since) SELECT ${ours}, ${now} WHERE NOT EXISTS (SELECT 1 FROM installation)`)
  return belongsTo(db)
}

/** Says nothing of the keys; Ed25519 signs the same bytes the same way (RFC 8032 §5.1.6). */
const fingerprint = (keyring: Keyring): string =>
  keyring.mac('installation', keyring.sign(Buffer.from('installation'))).toString('hex', 0, 16)

/** An address of a server may hold a password. */
const databaseName = ({ database }: Places): string =>
  database.startsWith('sqlite:')
    ? `the database ${pathOf(database)}`
    : `the database ${basename(database.split('?')[0] ?? '')} of the server`
