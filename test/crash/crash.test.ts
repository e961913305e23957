import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runCampaign } from './campaign.ts'
import { shortForm } from './schedule.ts'

test('killed at every failpoint and at random moments under load, the gateway loses nothing and repeats only what was in flight', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-kill-'))
  const kills = shortForm()
  try {
    const report = await runCampaign({
      folder,
      connections: 10,
      longest: 3000,
      next: (sofar) => kills.next(sofar).value,
      ...(process.env.CRASH_PROGRESS && { progress: (sofar) => console.error(JSON.stringify(sofar)) }),
    })
    if (process.env.CRASH_PROGRESS) console.error(report)
    assert.deepEqual(report.judgement.faults, [])
    assert.deepEqual(report.faults, [])
    assert.equal(report.judgement.lost, 0)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
