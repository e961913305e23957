/** The long form of the kill campaign as a program: a bar while it runs, docs/crash-report.md in the end, exit code 1 when anything is wrong. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../../src/ops/package-root.ts'
import { runCampaign, type SoFar } from './campaign.ts'
import { writeReport } from './report.ts'
import { longForm } from './schedule.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    messages: { type: 'string', default: '100000' },
    report: { type: 'string', default: join(packageRoot, 'docs', 'crash-report.md') },
  },
})
const wanted = { kills: Number(values.kills), messages: Number(values.messages) }
const folder = await mkdtemp(join(tmpdir(), 'letterlock-kill-'))
const kills = longForm(wanted)
const begun = performance.now()
// Ctrl-C: no more kills; what was done until then is judged and reported.
let enough = false
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    enough = true
  })
}
const report = await runCampaign({
  folder,
  connections: 20,
  longest: 4000,
  next: (sofar) => (enough ? undefined : kills.next(sofar).value),
  progress: show,
})
await mkdir(dirname(values.report), { recursive: true })
await writeFile(values.report, writeReport(report, folder))
const { judgement, faults } = report
process.stderr.write(`\n${JSON.stringify({ ...judgement, faults: [...judgement.faults, ...faults].slice(0, 50) }, null, 2)}\n`)
process.stderr.write(`the report is in ${values.report}\n`)
const sound = judgement.lost === 0 && judgement.faults.length === 0 && faults.length === 0
if (sound) await rm(folder, { recursive: true, force: true })
else process.stderr.write(`what was found wrong can be looked at in ${folder}\n`)
process.exit(sound ? 0 : 1)

/** On a terminal one line that changes; else a line for every 20 kills. */
function show({ kills: done, accepted }: SoFar): void {
  const part = Math.min(1, done / wanted.kills, accepted / wanted.messages)
  const seconds = (performance.now() - begun) / 1000
  const left = part > 0 ? `${Math.ceil((seconds / part - seconds) / 60)} min left` : ''
  const bar = `[${'#'.repeat(Math.round(part * 30)).padEnd(30, '.')}] ${done}/${wanted.kills} kills, ${accepted}/${wanted.messages} messages, ${Math.round(accepted / seconds)}/s, ${left}`
  if (process.stderr.isTTY) process.stderr.write(`\r${bar.padEnd(110)}`)
  else if (done % 20 === 0) process.stderr.write(`${bar}\n`)
}
