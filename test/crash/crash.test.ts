import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { failpoints } from '../../src/ops/failpoint.ts'
import { type Kill, runCampaign } from './campaign.ts'

/** What a start does comes last: it has something to do only where kills have left something. */
const points = [...failpoints.filter((name) => !name.startsWith('start.')), ...failpoints.filter((name) => name.startsWith('start.'))]

/** Every point once, and some random moments between them. */
function* shortForm(): Generator<Kill, undefined> {
  for (const [index, at] of points.entries()) {
    yield { at, n: 1 }
    if (at.startsWith('blob.')) yield { at: 'start.blob-swept', n: 1 } // the only time that there is one to sweep
    if (index % 6 === 5) yield { at: 'random' }
    if (index % 12 === 11) yield { at: 'random while starting' }
  }
  return undefined
}

test('killed at every failpoint and at random moments under load, the gateway loses nothing and repeats only what was in flight', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-kill-'))
  const kills = shortForm()
  try {
    const report = await runCampaign({
      folder,
      connections: 10,
      longest: 3000,
      next: () => kills.next().value,
      ...(process.env.CRASH_PROGRESS && { progress: (sofar) => console.error(JSON.stringify(sofar)) }),
    })
    console.error(report)
    assert.deepEqual(report.judgement.faults, [])
    assert.deepEqual(report.faults, [])
    assert.equal(report.judgement.lost, 0)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
