/** Where views/, public/ and migrations/ are found, from src/ and from dist/ alike. */
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of package.json: this file is two folders below it, in src/ops and in dist/ops. */
export const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
