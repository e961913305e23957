/** From measurements to words: ratios of the same round, marks, charts, and the page. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { syncsBeforeReply } from '../../bench/fairness.ts'
import { describeMachine } from '../../bench/machine/describe.ts'
import type { Row } from '../../bench/measure.ts'
import { readOptions } from '../../bench/options.ts'
import { verdict } from '../../bench/report/reach.ts'
import { writeReport } from '../../bench/report/report.ts'
import { summaries } from '../../bench/report/summary.ts'
import { openResults } from '../../bench/results.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-bench-report-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const row = (peer: string, round: number, endToEndRate: number, more: Partial<Row> = {}): Row => ({
  ...{
    peer,
    version: '1',
    scenario: '20k',
    round,
    sent: 100,
    accepted: 100,
    failed: 0,
    expected: 100,
    arrived: 100,
    clear: 0,
    connections: 20,
  },
  ...{
    acceptRate: 900,
    acceptP50: 1,
    acceptP99: 2,
    endToEndRate,
    cpuPerThousand: 2,
    memory: 100,
    memoryPeak: 120,
    steal: 0,
    calibration: 1000,
  },
  ...more,
})

test('a ratio compares a server with tuned Postfix in the same round, not with its median', () => {
  const rows = [row('postfix-tuned', 1, 100), row('letterlock', 1, 400), row('postfix-tuned', 2, 200), row('letterlock', 2, 400)]
  const ours = summaries(rows).find(({ peer }) => peer === 'letterlock')
  assert.deepEqual(ours?.ratio, { median: 3, least: 2, most: 4 })
})

test('what is refused, lost, delivered twice or sent in clear is counted as wrong', () => {
  const wrong = [{ failed: 1 }, { arrived: 98 }, { arrived: 103 }, { clear: 5 }].map((more, i) => row('letterlock', i + 1, 100, more))
  assert.equal(summaries(wrong)[0]?.wrong, 1 + 2 + 3 + 5)
})

test('a figure below its mark is said to be below', () => {
  const mark = { what: '', unit: '', least: 2, goal: 4 } as const
  assert.deepEqual(
    [1.9, 2, 4, undefined].map((value) => verdict({ ...mark, value, better: 'more' })),
    ['**below**', 'least', 'goal', ''],
  )
  assert.equal(verdict({ ...mark, least: 6, goal: 5, value: 5.5, better: 'less' }), 'least')
})

test('the report stands between its two lines on the page, the rest of the page stays, and its plots are beside the results', async () => {
  const results = await openResults(folder, describeMachine(folder), false)
  for (const one of [row('postfix-tuned', 1, 250), row('letterlock', 1, 500)]) await results.addRow(one)
  await results.addFigure({ trial: 'letters', name: 'letters', value: 140, unit: 'letters/s' })
  await results.addFairness({ peer: 'letterlock', syncs: 2, verifies: false })
  const page = join(folder, 'page.md')
  await writeFile(page, 'before\n<!-- measured: npm run bench writes from here … -->\nold\n<!-- … to here -->\nafter\n')
  await writeReport(folder, page)
  const text = await readFile(page, 'utf8')
  assert.match(text, /^before\n/)
  assert.match(text, /\nafter\n$/)
  assert.doesNotMatch(text, /\nold\n/)
  assert.match(text, /\| 20 KB, 20 kept sessions, end to end \| ≥ 2 \| ≥ 4 \| 2 × tuned Postfix \| least \|/)
  assert.match(text, /\| letters, 20 KB \| ≥ 150 \| ≥ 300 \| 140 letters\/s \| \*\*below\*\* \|/)
  assert.match(text, /\| letterlock \| yes \(2\) \| \*\*no\*\* \|/)
  const svg = await readFile(join(folder, 'rates.svg'), 'utf8')
  assert.match(svg, /prefers-color-scheme: dark/)
  assert.match(svg, /20k: postfix-tuned 1\.00 ×, letterlock 2\.00 ×/)
})

test('a page without the two lines is left alone, and the error says which lines', async () => {
  const page = join(folder, 'bare.md')
  await writeFile(page, 'nothing\n')
  await assert.rejects(writeReport(folder, page), /bare\.md has lost its lines/)
  assert.equal(await readFile(page, 'utf8'), 'nothing\n')
})

test('only a sync that ended between the replies to DATA and to the dot counts', () => {
  const early = ['7 fdatasync(9) = 0']
  const data = ['8 write(11, "354 end with a d"..., 20) = 20']
  const inside = ['7 fsync(9 <unfinished ...>', '8 write(5, "x", 1) = 1', '7 <... fsync resumed>) = 0']
  const dot = ['8 write(11, "250 2.0.0 queued"..., 60) = 60']
  assert.equal(syncsBeforeReply([...early, ...data, ...inside, ...dot]), 1)
  assert.equal(syncsBeforeReply([...early, ...data, ...dot, ...inside]), 0)
  assert.equal(syncsBeforeReply([...data, '7 fsync(9) = -1 EIO (Input/output error)', ...dot]), 0)
  assert.equal(syncsBeforeReply([...data, ...inside]), 0)
})

test('a name that does not exist is answered with those that do', () => {
  const answer = readOptions(['--scenarios', '20K'])
  assert.match(answer.kind === 'wrong' ? answer.text : '', /no scenario '20K'; there are 20k, cold, 4k/)
  assert.equal(readOptions(['--rounds', 'many']).kind, 'wrong')
  assert.equal(readOptions(['--nonsense']).kind, 'wrong')
})

test('a quick run is one round of fewer messages', () => {
  const [full, quick] = [readOptions([]), readOptions(['--quick'])]
  assert.ok(full.kind === 'run' && quick.kind === 'run')
  assert.deepEqual([full.rounds, quick.rounds], [3, 1])
  assert.ok((quick.scenarios[0]?.messages ?? 0) < (full.scenarios[0]?.messages ?? 0))
  assert.ok(quick.warmUp < full.warmUp)
})

test('the warm-up is as long as asked for, none at all with 0, and not half a message', () => {
  const asked = (text: string) => {
    const options = readOptions(['--warm-up', text])
    return options.kind === 'run' ? options.warmUp : options.kind
  }
  assert.deepEqual(['25', '0', '1.5', '-1', 'long'].map(asked), [25, 0, 'wrong', 'wrong', 'wrong'])
})

test('how a server does right after its start stands beside how it does when warm', async () => {
  const results = await openResults(folder, describeMachine(folder), false)
  for (const one of [row('letterlock', 1, 200, { scenario: 'cold' }), row('letterlock', 1, 500)]) await results.addRow(one)
  const { text } = await writeReport(folder, undefined)
  assert.match(text, /\*\*20k: [\s\S]*\*\*cold: 20 KB, 20 kept sessions, the first messages after the start\*\*/)
})
