import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CommandError } from '../../src/ops/errors.ts'
import { armFailpoint, failpoint, failpoints } from '../../src/ops/failpoint.ts'

test('without LETTERLOCK_FAILPOINT every point is passed', () => {
  assert.equal(armFailpoint(undefined), undefined)
  assert.equal(armFailpoint(''), undefined)
  for (const name of failpoints) failpoint(name)
})

test('a process dies by SIGKILL when it passes the armed point for the n-th time, not before and not elsewhere', () => {
  const program = `
    import { armFailpoint, failpoint } from './src/ops/failpoint.ts'
    armFailpoint(process.argv[1])
    for (let round = 1; round <= 3; round++) {
      failpoint('commit.after')
      process.stdout.write(String(round))
      failpoint('commit.before')
    }`
  const run = (spec: string) =>
    spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program, '--', spec], { encoding: 'utf8' })
  assert.deepEqual(shown(run('commit.before:2')), { stdout: '12', signal: 'SIGKILL', status: null })
  assert.deepEqual(shown(run('commit.after')), { stdout: '', signal: 'SIGKILL', status: null })
  assert.deepEqual(shown(run('commit.before:4')), { stdout: '123', signal: null, status: 0 })
})

const shown = ({ stdout, signal, status }: { stdout: string; signal: string | null; status: number | null }) => ({ stdout, signal, status })

test('a point that does not exist, or a count that is none, is refused with a sentence', () => {
  for (const spec of ['accept.comitted:1', 'accept.committed:0', 'accept.committed:', 'nowhere', ':1', 'a b'])
    assert.throws(
      () => armFailpoint(spec),
      (error) => error instanceof CommandError && error.exitCode === 78 && error.message.startsWith('LETTERLOCK_FAILPOINT: '),
      spec,
    )
  assert.throws(() => armFailpoint('accept.comitted:1'), /did you mean accept\.committed\?/)
})

test('every point of the list stands somewhere in the program', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join('src', file), 'utf8'))
    .join('\n')
  for (const name of failpoints) assert.match(sources, new RegExp(`failpoint(?:AfterWriting)?\\('${name.replaceAll('.', '\\.')}'\\)`), name)
})
