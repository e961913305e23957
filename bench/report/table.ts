/** From measurements to tables: medians, their spread, and ratios to Postfix in the same round. */
import type { Row } from '../measure.ts'
import { median } from '../statistics.ts'

/** A Markdown table of all scenarios and peers. */
export function table(rows: readonly Row[]): string {
  const head =
    '| scenario | server | through, msg/s (least to most) | × tuned Postfix | accepted, msg/s | CPU s/1000 | idle p50 / p99 ms | memory MB | wrong |'
  const names = [...new Set(rows.map(({ scenario, peer }) => `${scenario} ${peer}`))]
  const groups = names.map((name) => rows.filter(({ scenario, peer }) => `${scenario} ${peer}` === name))
  return [head, '|---|---|---|---|---|---|---|---|---|', ...groups.map((group) => line(group, rows))].join('\n')
}

function line(group: readonly Row[], all: readonly Row[]): string {
  const first = group[0]
  if (first === undefined) return ''
  const of = (figure: (row: Row) => number | undefined) => group.map(figure).filter((value) => value !== undefined)
  const through = of((row) => row.endToEndRate)
  const wrong = of((row) => row.failed + Math.abs(row.expected - row.arrived) + row.clear).reduce((sum, value) => sum + value, 0)
  const cells = [
    first.scenario,
    first.peer,
    through.length === 0 ? '' : `${shown(median(through))} (${shown(Math.min(...through))}–${shown(Math.max(...through))})`,
    shown(median(ratios(group, all)), 2),
    shown(median(of((row) => row.acceptRate))),
    shown(median(of((row) => row.cpuPerThousand)), 2),
    first.idleP50 === undefined ? '' : `${shown(median(of((row) => row.idleP50)), 1)} / ${shown(median(of((row) => row.idleP99)), 1)}`,
    shown(median(of((row) => row.memory))),
    `${wrong}`,
  ]
  return `| ${cells.join(' | ')} |`
}

/** Each round's rate over tuned Postfix's of that round; by idle latency the other way round. */
function ratios(group: readonly Row[], all: readonly Row[]): number[] {
  return group.flatMap((row) => {
    const other = all.find(({ peer, scenario, round }) => peer === 'postfix-tuned' && scenario === row.scenario && round === row.round)
    if (other === undefined) return []
    if (row.endToEndRate !== undefined && other.endToEndRate !== undefined) return [row.endToEndRate / other.endToEndRate]
    return row.idleP50 !== undefined && other.idleP50 !== undefined ? [other.idleP50 / row.idleP50] : []
  })
}

const shown = (value: number, digits = 0): string =>
  Number.isNaN(value) ? '' : value >= 100 ? `${Math.round(value)}` : value.toFixed(digits)
