/** Two gateways share a PostgreSQL: claims never double, a stopped node settles nothing, and the database may crash under load. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Postgres, startPostgres, withoutPostgres } from '../world/postgres.ts'
import { type Fault, runNodes } from './nodes.ts'

const long = process.env.LONG_TESTS === '1'
const progress = process.env.CRASH_PROGRESS ? (text: string) => console.error(text) : undefined

describe('several gateways on one PostgreSQL', { skip: withoutPostgres }, () => {
  let server: Postgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.close())

  it('lose nothing and repeat only what was in flight, whichever is killed or stopped, and though the database crashes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'letterlock-nodes-'))
    const round: readonly Fault[] = ['database', 'stop', 'kill']
    const faults = Array.from({ length: long ? 90 : 3 }, (_, i) => round[i % round.length] ?? 'kill')
    try {
      const report = await runNodes({
        ...{ folder, server, faults, nodes: long ? 3 : 2, connections: long ? 20 : 8, claim: long ? 12_000 : 8000 },
        ...(progress && { progress }),
      })
      if (progress) progress(JSON.stringify({ ...report, refusals: [...report.refusals] }))
      assert.deepEqual(report.judgement.faults, [])
      assert.deepEqual(report.faults, [])
      assert.equal(report.judgement.lost, 0)
      assert.ok(report.judgement.accepted > 0)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
