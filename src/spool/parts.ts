/** What the spool is built from. */
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { Keyring } from '../seal/keyring.ts'
import type { Blobs } from '../store/blobs.ts'
import type { Db } from '../store/db.ts'

export type SpoolParts = {
  readonly db: Db
  readonly blobs: Blobs
  readonly keyring: Keyring
  readonly clock: Clock
  readonly settings: Settings
}
