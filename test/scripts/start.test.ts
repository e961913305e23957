/** `npm start` on a machine that has never seen Letterlock: what it installs, builds, says and passes on. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { packageRoot } from '../../src/ops/package-root.ts'

const parent = mkdtempSync(join(tmpdir(), 'start-'))
after(() => rmSync(parent, { recursive: true }))

/** A project with our scripts and settings, and next to no source. */
function project(name: string): string {
  const folder = join(parent, name)
  mkdirSync(join(folder, 'src'), { recursive: true })
  for (const path of ['scripts', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'])
    cpSync(join(packageRoot, path), join(folder, path), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'src', 'main.ts'), "console.log('arguments:', process.argv.slice(2).join(' '))\n")
  return folder
}

/** A bin folder with this Node and an npm that is a shell script; nothing else is in the PATH. */
function withNpm(folder: string, script: string): { readonly [name: string]: string } {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, 'node'))
  writeFileSync(join(bin, 'npm'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return { PATH: bin }
}

/** What stands in for an installation: the compiler of this one. */
const modules = join(packageRoot, 'node_modules')
const installing = `echo "npm $*" >&2; /bin/mkdir node_modules && /bin/ln -s ${modules}/typescript ${modules}/@typescript ${modules}/@types ${modules}/undici-types node_modules/`

const start = (folder: string, env: { readonly [name: string]: string }, ...args: string[]) =>
  spawnSync(process.execPath, [join(folder, 'scripts', 'start.mjs'), ...args], { cwd: dirname(folder), env: { ...env }, encoding: 'utf8' })

test('a fresh clone is installed with its development tools, built and started with its arguments', () => {
  const folder = project('fresh')
  const env = withNpm(folder, installing)
  const first = start(folder, env, 'serve', '--config', 'x.yaml')
  assert.equal(first.status, 0, first.stderr)
  assert.equal(first.stdout, 'arguments: serve --config x.yaml\n')
  assert.match(first.stderr, /Installing .*\n(?:.*\n)?Building/)

  const second = start(folder, env, 'serve')
  assert.equal(second.stdout, 'arguments: serve\n')
  assert.equal(second.stderr, '', 'the second start does nothing but start')
})

test('a changed source is built anew, and a removed one is gone from dist', () => {
  const folder = project('changed')
  const env = withNpm(folder, installing)
  writeFileSync(join(folder, 'src', 'old.ts'), 'export const old = 1\n')
  start(folder, env)
  assert.ok(existsSync(join(folder, 'dist', 'old.js')))
  rmSync(join(folder, 'src', 'old.ts'))
  writeFileSync(join(folder, 'src', 'main.ts'), "console.log('changed')\n")
  const again = start(folder, env)
  assert.equal(again.stdout, 'changed\n')
  assert.match(again.stderr, /^Building/)
  assert.ok(!existsSync(join(folder, 'dist', 'old.js')))
})

test('another lock file is installed anew', () => {
  const folder = project('lock')
  const env = withNpm(folder, `/bin/rm -rf node_modules; ${installing}`)
  start(folder, env)
  writeFileSync(join(folder, 'package-lock.json'), '{}\n')
  assert.match(start(folder, env).stderr, /^Installing/)
})

test('what somebody installed with npm ci is taken as it is', () => {
  const folder = project('by-hand')
  const env = withNpm(folder, 'echo npm must not run >&2; exit 1')
  mkdirSync(join(folder, 'node_modules'))
  for (const name of ['typescript', '@typescript', '@types', 'undici-types'])
    symlinkSync(join(modules, name), join(folder, 'node_modules', name))
  writeFileSync(join(folder, 'node_modules', '.package-lock.json'), '{}')
  utimesSync(join(folder, 'package-lock.json'), 1, 1)
  const started = start(folder, env)
  assert.equal(started.status, 0, started.stderr)
  assert.doesNotMatch(started.stderr, /Installing/)
})

test('where SQLite must be compiled and nothing can compile it, the last line is one sentence that says so', () => {
  const folder = project('bare')
  const env = withNpm(folder, 'echo "gyp ERR! find Python" >&2; echo "npm error path node_modules/better-sqlite3" >&2; exit 1')
  const failed = start(folder, env)
  assert.equal(failed.status, 69)
  assert.match(
    failed.stderr.trimEnd().split('\n').at(-1) ?? '',
    /^SQLite \(better-sqlite3\) has to be compiled on this machine, but a C\+\+ compiler, make, Python 3 cannot be found: install them/,
  )
  assert.doesNotMatch(failed.stderr, /gyp ERR/)
})

test('when the installation fails otherwise, npm’s own words are shown', () => {
  const folder = project('offline')
  const failed = start(folder, withNpm(folder, 'echo "npm error network unreachable" >&2; exit 1'))
  assert.equal(failed.status, 69)
  assert.match(failed.stderr, /npm error network unreachable/)
})

test('a build that fails shows the compiler’s message and starts nothing', () => {
  const folder = project('broken')
  writeFileSync(join(folder, 'src', 'main.ts'), "const wrong: number = 'text'\nconsole.log(wrong)\n")
  const failed = start(folder, withNpm(folder, installing))
  assert.equal(failed.status, 70)
  assert.match(failed.stderr, /main\.ts.*TS2322/)
  assert.equal(failed.stdout, '')
})
