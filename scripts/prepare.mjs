/** Makes a fresh clone runnable: installs what is missing, builds what has changed. Plain Node, no dependencies. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const lockFile = join(root, 'package-lock.json')
const modules = join(root, 'node_modules')
const installed = join(modules, '.letterlock-installed')
const built = join(root, 'dist', '.built')

const say = (text) => process.stderr.write(`${text}\n`)

/** Ends the program with one sentence. */
function give(code, text) {
  say(text)
  process.exit(code)
}

/** `npm ci --include=dev` when node_modules is missing, of another lock file or of another Node. */
export function install() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) give(69, `Letterlock needs Node 20.19 or newer; this is ${process.versions.node}.`)
  const wanted = `${digest(readFileSync(lockFile))} abi ${process.versions.modules}`
  if (isInstalled(wanted)) return
  say('Installing what is missing (a few minutes where SQLite has to be compiled) …')
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  const npm = process.env.npm_execpath
  const result = npm?.endsWith('.js')
    ? spawnSync(process.execPath, [npm, ...args], { cwd: root, encoding: 'utf8' })
    : spawnSync('npm', args, { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' })
  if (result.status !== 0) explainFailure(`${result.error?.message ?? ''}${result.stdout ?? ''}${result.stderr ?? ''}`)
  writeFileSync(installed, wanted)
}

function isInstalled(wanted) {
  if (!existsSync(join(modules, 'typescript'))) return false
  if (existsSync(installed)) return readFileSync(installed, 'utf8') === wanted
  // Somebody ran `npm ci`: npm's own record is then younger than the lock file.
  const record = join(modules, '.package-lock.json')
  if (!existsSync(record) || statSync(record).mtimeMs < statSync(lockFile).mtimeMs) return false
  writeFileSync(installed, wanted)
  return true
}

/** No ready-made SQLite could be fetched and it could not be compiled: the likeliest reason, in one sentence. */
function explainFailure(output) {
  const missing = [
    { name: 'a C++ compiler', any: ['c++', 'g++', 'clang++', 'cl.exe'] },
    { name: 'make', any: ['make', 'gmake', 'msbuild.exe'] },
    { name: 'Python 3', any: ['python3', 'python', 'python.exe'] },
  ].filter(({ any }) => !any.some(onPath))
  if (/better-sqlite3|node-gyp|gyp ERR/.test(output) && missing.length > 0) {
    const names = missing.map(({ name }) => name).join(', ')
    give(
      69,
      `SQLite (better-sqlite3) has to be compiled on this machine, but ${names} cannot be found: install them (Debian, Ubuntu: apt-get install build-essential python3) and run this again.`,
    )
  }
  say(output.split('\n').slice(-40).join('\n'))
  give(69, 'npm ci failed; the reason stands above.')
}

/** Whether a command of this name is in PATH. */
export function onPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, name)))
}

/** tsc to dist/ when a source is new, changed or gone since the last build. */
export function build() {
  const wanted = fingerprint()
  if (isBuilt(wanted)) return
  say('Building …')
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  const tsc = run('node_modules/typescript/bin/tsc', ['-p', 'tsconfig.build.json'])
  if (tsc !== 0) give(70, 'The build failed; the compiler’s messages stand above.')
  mkdirSync(join(root, 'dist'), { recursive: true })
  writeFileSync(built, wanted)
}

/** Is dist/ built of the source as it stands? */
export function isBuilt(wanted = fingerprint()) {
  return existsSync(built) && existsSync(join(root, 'dist', 'main.js')) && readFileSync(built, 'utf8') === wanted
}

/** Runs a script of node_modules with this Node, output going to stderr; returns its exit code. */
export function run(script, args) {
  return spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: ['ignore', 2, 2] }).status ?? 1
}

/** Size and date of every source: enough to see a change, cheap enough for every start. */
function fingerprint() {
  const files = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json', ...walk('src')]
  return digest(files.map((file) => `${file} ${statSync(join(root, file)).size} ${statSync(join(root, file)).mtimeMs}`).join('\n'))
}

/** All files below a folder of the project, sorted, with paths from the root. */
export function walk(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)]))
    .sort()
}

const digest = (content) => createHash('sha256').update(content).digest('hex')
