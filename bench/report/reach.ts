/** What the project has set itself, and what of it was measured; a figure below its mark is shown as such. */
import type { Run } from '../results.ts'
import { type Summary, summaries } from './summary.ts'
import { shown } from './table.ts'

/** `least` and `goal` in the unit of the value; undefined: there is none of it. */
export type Mark = {
  readonly what: string
  readonly value: number | undefined
  readonly unit: string
  readonly least: number | undefined
  readonly goal: number | undefined
  readonly better: 'more' | 'less'
}

/** Every mark, measured or not. */
export function marks(run: Run): readonly Mark[] {
  const all = summaries(run.rows)
  const ours = (scenario: string) => all.find((one) => one.peer === 'letterlock' && one.scenario === scenario)
  const other = (peer: string, scenario: string) => all.find((one) => one.peer === peer && one.scenario === scenario)
  const figure = (trial: string, name: string) => run.figures.findLast((one) => one.trial === trial && one.name === name)?.value
  const more = (what: string, value: number | undefined, unit: string, least?: number, goal?: number): Mark => ({
    what,
    value,
    unit,
    least,
    goal,
    better: 'more',
  })
  const less = (what: string, value: number | undefined, unit: string, least?: number, goal?: number): Mark => ({
    what,
    value,
    unit,
    least,
    goal,
    better: 'less',
  })
  const times = (one: Summary | undefined) => one?.ratio?.median
  const arrived = figure('arriving', 'messages of 25 MB') ?? 1000
  const waiting = (figure('waiting', 'waiting') ?? 100_000).toLocaleString('en')
  return [
    more('20 KB, 20 kept sessions, end to end', times(ours('20k')), '× tuned Postfix', 2, 4),
    less('CPU for 1,000 of them', ours('20k')?.cpu?.median, 's', other('postfix-tuned', '20k')?.cpu?.median, 1.2),
    more('a connection for each message', times(ours('20k-once')), '× tuned Postfix', 1, 2),
    less('idle, one message end to end, p50', ours('idle')?.idleP50?.median, 'ms', other('postfix', 'idle')?.idleP50?.median, 6),
    more('200 destinations 50 ms away, 10 % dead', times(ours('far')), '× tuned Postfix', 1, 2),
    more('100 KB', times(ours('100k')), '× tuned Postfix', 1.5, 3),
    more('10 MB', times(ours('10m')), '× tuned Postfix', 1, 1.5),
    less('10 MB, highest resident set', ours('10m')?.memoryPeak?.most, 'MB', 300, 300),
    less(`${arrived} of 25 MB on 100 connections: lost or refused`, figure('arriving', 'refused or lost'), 'messages', 0, 0),
    less(`${arrived} of 25 MB on 100 connections: highest resident set`, figure('arriving', 'highest resident set'), 'MB', 512, 512),
    more(`${waiting} waiting: the rate of others, in proportion`, figure('waiting', 'others, in proportion'), '×', 0.5, 0.8),
    less(
      `${waiting} waiting: from kill -9 and start to the first 250`,
      figure('waiting', 'from kill -9 and start to the first 250'),
      'ms',
      undefined,
      2000,
    ),
    more('letters, 20 KB', figure('letters', 'letters'), 'letters/s', 150, 300),
    less('sealing 25 MB', figure('sealing', 'seal 25 MB'), 'ms', 300, 120),
    more('PGP, 20 KB, Curve25519', figure('pgp', '20 KB through the gateway'), 'msg/s', figure('pgp', '20 KB by gpg'), 250),
    more('PGP, 10 MB', figure('pgp', '10 MB through the gateway'), 'MB/s', undefined, 60),
    more('20 KB with PostgreSQL on the same machine', times(other('letterlock-postgres', '20k')), '× tuned Postfix', 1, 1.5),
  ]
}

/** The table of all marks. */
export function reachTable(run: Run): string {
  const lines = marks(run).map((mark) => {
    const { what, value, unit, least, goal, better } = mark
    const at = (limit: number | undefined) => (limit === undefined ? '' : `${better === 'more' ? '≥' : '≤'} ${shown(limit)}`)
    return `| ${what} | ${at(least)} | ${at(goal)} | ${value === undefined ? 'not measured' : `${shown(value)} ${unit}`} | ${verdict(mark)} |`
  })
  return ['| | least | goal | measured | reached |', '|---|---|---|---|---|', ...lines].join('\n')
}

/** In a word. */
export function verdict({ value, least, goal, better }: Mark): string {
  if (value === undefined) return ''
  const reaches = (limit: number) => (better === 'more' ? value >= limit : value <= limit)
  if (goal !== undefined && reaches(goal)) return 'goal'
  if (least === undefined) return goal === undefined ? '' : '**below**'
  return reaches(least) ? 'least' : '**below**'
}
