/** The report of a long campaign of kills, as docs/crash-report.md keeps it. */
import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem, type } from 'node:os'
import { packageRoot } from '../../src/ops/package-root.ts'
import type { CampaignReport } from './campaign.ts'

/** Markdown. `folder`: where the data lay; its file system is named. */
export function writeReport(report: CampaignReport, folder: string): string {
  const { judgement, faults, starts, sent, kills, quarantined, took } = report
  const all = [...judgement.faults, ...faults]
  const killed = [...kills.values()].reduce((sum, times) => sum + times, 0)
  return `# Crash report: kill -9

Written by \`npm run test:crash -- --long\`; what is tried and how it is judged stands in [crash-tests.md](crash-tests.md).

| | |
|---|---|
| date | ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC |
| program | commit ${command('git', 'rev-parse', '--short', 'HEAD')}, Node ${process.version}, SQLite |
| machine | ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release()}, ${command('stat', '-f', '-c', '%T', folder)} |
| duration | ${Math.round(took / 60_000)} minutes |
| kills | **${killed}**, at ${[...kills.keys()].filter((name) => !name.startsWith('random') && !name.includes(',')).length} failpoints and at random moments |
| messages accepted by 250 | **${judgement.messages}** with ${judgement.accepted} recipients |
| refused, cut off before their end, without an answer | ${sent.refused ?? 0}, ${sent.unsent ?? 0}, ${sent.unanswered ?? 0} (never sent again) |
| **lost** | **${judgement.lost}** |
| delivered, bounced with a report, held as a letter | ${judgement.delivered}, ${judgement.bounced}, ${judgement.letters} |
| waiting or held in the end | ${judgement.waiting + judgement.held} |
| arrived more than once | ${judgement.duplicates} (mail, reports, notices), of ${judgement.inFlight} that were being attempted at a kill; at most as often as they were |
| held as \`attempt-crashed\`, released in the end | ${quarantined} |
| start to first answer to EHLO | p50 ${quantile(starts, 0.5)} ms, p99 ${quantile(starts, 0.99)} ms, longest ${quantile(starts, 1)} ms (${starts.length} starts) |
| integrity check, audit chain, orphan blobs | ${faults.length === 0 ? 'sound' : 'see below'} |

${
  all.length === 0
    ? 'No fault was found.'
    : `## Faults\n\n${all
        .slice(0, 200)
        .map((fault) => `- ${fault}`)
        .join('\n')}`
}

## Kills by point

| point | kills |
|---|---|
${[...kills]
  .toSorted(([one], [other]) => one.localeCompare(other))
  .map(([name, times]) => `| \`${name}\` | ${times} |`)
  .join('\n')}

"Not passed in time": the point was armed for a later pass than came within some seconds; the process was killed then, at any moment.

## What this does not show

- kill -9 leaves what the kernel holds: a missing fsync does not show here but in the power-cut test.
- Clients, next hops and the gateway share one machine, so the network never loses, delays or repeats anything, and the load is what is left
  of its processors; times to start are those of a busy machine.
- Nothing is submitted a second time by the clients, as a real one would after a missing answer: such copies are its own.
- Nobody reads letters meanwhile: the portal's sessions and codes are not under this load.
`
}

/** Milliseconds, whole. */
function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0)
}

/** What a command prints, or "unknown". */
function command(name: string, ...options: readonly string[]): string {
  try {
    return execFileSync(name, options, { cwd: packageRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}
