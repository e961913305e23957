/** Opens settings and data for a command; commands work beside a running server. */
import { methods } from '../methods/index.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { describeProblem, loadSettings, pathOf, type Settings } from '../ops/settings.ts'
import { type PolicyStore, policyStore } from '../routing/store.ts'
import { openSigner } from '../seal/signer.ts'
import { refuseLostKeys } from '../spool/belonging.ts'
import type { Db } from '../store/db.ts'
import { openDatabase } from '../store/open.ts'

/** The settings of a command line, or exit 78 with every problem on a line of its own. */
export function settingsOf({ config }: { readonly config?: string }): Settings {
  const loaded = loadSettings({ file: config, env: process.env })
  if (loaded.kind === 'settings') return loaded.settings
  throw new CommandError('settings', loaded.problems.map(describeProblem).join('\n'))
}

/** Open the database for one command and close it whatever happens. */
export async function withDatabase<T>(settings: Settings, work: (db: Db) => Promise<T>): Promise<T> {
  const db = await openDatabase(settings)
  try {
    return await work(db)
  } finally {
    await db.close()
  }
}

/**
 * The policies as a command sees them: with the key that signs them, and without opening any epoch of the queue. Throws CommandError 69 where
 * the keys of this database are gone: a new one would be made, and what is signed by it refused once the former ones are back.
 */
export async function policiesOf(settings: Settings, db: Db): Promise<PolicyStore> {
  await refuseLostKeys(db, settings)
  return policyStore({ db, clock: systemClock, methods, signer: await openSigner(pathOf(settings.keys)), settings })
}
