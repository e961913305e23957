/** The program as a process of its own. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageRoot } from '../../src/ops/package-root.ts'

// It says what npm test would build: a source that was changed while the last build ran, or is gone, is noticed as well.
const { isBuilt } = (await import(pathToFileURL(join(packageRoot, 'scripts', 'prepare.mjs')).href)) as { readonly isBuilt: () => boolean }

/** What follows `node` to run it in any folder: the built program where it is built of this source (as by npm test), else the source, which starts slowly. */
export const program: readonly string[] = isBuilt()
  ? [join(packageRoot, 'dist', 'main.js')]
  : ['--import', join(packageRoot, 'node_modules', 'tsx', 'dist', 'loader.mjs'), join(packageRoot, 'src', 'main.ts')]

/** What a command came to; `errors` are the pieces of stderr as they came. */
export type Ran = { readonly code: number | null; readonly out: string; readonly err: string; readonly errors: readonly string[] }

/** Run a command to its end, as a person would, and give it `input`. */
export async function runProgram(
  args: readonly string[],
  { folder, env = {}, input = '' }: { readonly folder?: string; readonly env?: Record<string, string>; readonly input?: string } = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [...program, ...args], { cwd: folder, env: { ...process.env, ...env } })
  const [out, errors]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  child.stdin.on('error', () => undefined) // it may end before it has read all
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(errors).toString(), errors: errors.map(String) }
}
