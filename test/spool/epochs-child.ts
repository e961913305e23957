/** Renews the epochs of a data folder, to be killed at the failpoint that its environment names. */
import { join } from 'node:path'
import { armFailpoint } from '../../src/ops/failpoint.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { renewEpochs } from '../../src/spool/epochs.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { openDatabase } from '../../src/store/open.ts'

const data = process.argv[2] ?? ''
const settings = defaultSettings({ data, database: `sqlite:${join(data, 'db')}` })
const [db, keyring] = [await openDatabase(settings), await openKeyring(join(data, 'keys'), Date.now)]
armFailpoint(process.env.LETTERLOCK_FAILPOINT)
await renewEpochs({ db, keyring, blobs: openBlobs(join(data, 'blobs')), clock: Date.now, settings }, { error: console.error })
