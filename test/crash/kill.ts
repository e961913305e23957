/** The short form of the kill campaign: one part of the points, judged by the oracle. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCampaign } from './campaign.ts'
import { type Part, shortForm } from './schedule.ts'

/** Rejects with what is wrong. CRASH_PROGRESS=1 tells how it goes. */
export async function killAt(part: Part): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-kill-'))
  const kills = shortForm(part)
  try {
    const report = await runCampaign({
      folder,
      connections: 10,
      longest: 60_000,
      next: (sofar) => kills.next(sofar).value,
      ...(process.env.CRASH_PROGRESS && { progress: (sofar) => console.error(JSON.stringify(sofar)) }),
    })
    if (process.env.CRASH_PROGRESS) console.error(report)
    assert.deepEqual(report.judgement.faults, [])
    assert.deepEqual(report.faults, [])
    assert.equal(report.judgement.lost, 0)
    assert.ok(report.judgement.delivered > 0)
    assert.ok(Math.max(...report.starts) < 60_000, 'it starts (the report of the long form tells how fast)')
    // What a start has to do depends on what the kills have left.
    const missed = [...report.kills.keys()].filter((point) => point.includes('not passed') && !point.startsWith('start.'))
    assert.deepEqual(missed, [], 'every point was passed')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
