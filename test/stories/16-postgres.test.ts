/** The same stories with the queue on a PostgreSQL: some here, all of them by STORY_DATABASE=postgres npm test -- test/stories/*.test.ts. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { packageRoot } from '../../src/ops/package-root.ts'
import { withoutPostgres } from '../world/postgres.ts'

const skip = process.env.STORY_DATABASE === 'postgres' ? 'these are run on PostgreSQL already' : withoutPostgres

describe('on PostgreSQL', { skip }, () => {
  for (const [what, file] of [
    ['mail goes its routes', '01-routes'],
    ['letters are sealed, announced and read', '02-letter'],
    ['kill -9 loses nothing', '03-crash'],
    ['operators turn the queue', '08-queue'],
  ] as const) {
    it(what, async () => {
      const { code, said } = await run(join('test', 'stories', `${file}.test.ts`))
      assert.equal(code, 0, said)
    })
  }
})

/** Run a story in a process of its own, not as a part of this test run. */
function run(file: string): Promise<{ readonly code: number | null; readonly said: string }> {
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env
  const child = spawn(process.execPath, ['--import', 'tsx', '--test', file], {
    cwd: packageRoot,
    env: { ...environment, STORY_DATABASE: 'postgres' },
  })
  let said = ''
  for (const output of [child.stdout, child.stderr]) {
    output.on('data', (chunk) => {
      said += chunk
    })
  }
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, said })))
}
