/** The program as a process of its own. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/ops/package-root.ts'

const source = join(packageRoot, 'src')
const [built, main] = [join(packageRoot, 'dist', '.built'), join(packageRoot, 'dist', 'main.js')]

/** What follows `node` to run it in any folder: the built program where it is built of this source (as by npm test), else the source, which starts slowly. */
export const program: readonly string[] = isBuilt()
  ? [main]
  : ['--import', join(packageRoot, 'node_modules', 'tsx', 'dist', 'loader.mjs'), join(source, 'main.ts')]

function isBuilt(): boolean {
  if (!existsSync(built) || !existsSync(main)) return false
  const since = statSync(built).mtimeMs
  return readdirSync(source, { recursive: true }).every((path) => statSync(join(source, String(path))).mtimeMs <= since)
}
