/** The program as a process of its own. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageRoot } from '../../src/ops/package-root.ts'

// It says what npm test would build: a source that was changed while the last build ran, or is gone, is noticed as well.
const { isBuilt } = (await import(pathToFileURL(join(packageRoot, 'scripts', 'prepare.mjs')).href)) as { readonly isBuilt: () => boolean }

/** What follows `node` to run it in any folder: the built program where it is built of this source (as by npm test), else the source, which starts slowly. */
export const program: readonly string[] = isBuilt()
  ? [join(packageRoot, 'dist', 'main.js')]
  : ['--import', join(packageRoot, 'node_modules', 'tsx', 'dist', 'loader.mjs'), join(packageRoot, 'src', 'main.ts')]
