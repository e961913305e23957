/** The rows of one server under one scenario, summed up: medians over the rounds, ratios to Postfix in the same round. */
import type { Row } from '../measure.ts'
import { median, quantile } from '../statistics.ts'

/** Undefined where nothing of the kind was measured. */
export type Middle = { readonly median: number; readonly least: number; readonly most: number }

export type Summary = {
  readonly peer: string
  readonly version: string
  readonly scenario: string
  readonly rounds: number
  readonly through: Middle | undefined
  readonly accepted: Middle | undefined
  readonly acceptP50: Middle | undefined
  readonly acceptP99: Middle | undefined
  readonly idleP50: Middle | undefined
  readonly idleP99: Middle | undefined
  readonly cpu: Middle | undefined
  readonly memory: Middle | undefined
  readonly memoryPeak: Middle | undefined
  /** End-to-end rate over that of the reference; when idle the latency of the reference over ours. More is better. */
  readonly ratio: Middle | undefined
  /** Messages refused, lost, delivered twice or sent in clear, of all rounds. */
  readonly wrong: number
  readonly steal: number
  readonly calibration: number
}

/** Whom all are compared with: tuned Postfix; when idle the stock one, which is the faster of the two there. */
export const referenceOf = (scenario: string) => (scenario === 'idle' ? 'postfix' : 'postfix-tuned')

/** One summary for each scenario and server, in the order of the rows. */
export function summaries(rows: readonly Row[]): readonly Summary[] {
  const keyOf = ({ scenario, peer }: Row) => `${scenario} ${peer}`
  return [...new Set(rows.map(keyOf))].flatMap((key) => {
    const group = rows.filter((row) => keyOf(row) === key)
    return group[0] === undefined ? [] : [summary(group[0], group, rows)]
  })
}

function summary(first: Row, group: readonly Row[], all: readonly Row[]): Summary {
  const of = (figure: (row: Row) => number | undefined) => middle(group.map(figure).filter((value) => value !== undefined))
  return {
    peer: first.peer,
    version: first.version,
    scenario: first.scenario,
    rounds: group.length,
    through: of((row) => row.endToEndRate),
    accepted: of((row) => row.acceptRate),
    acceptP50: of((row) => row.acceptP50),
    acceptP99: of((row) => row.acceptP99),
    idleP50: of((row) => row.idleP50),
    idleP99: of((row) => row.idleP99),
    cpu: of((row) => row.cpuPerThousand),
    memory: of((row) => row.memory),
    memoryPeak: of((row) => row.memoryPeak),
    ratio: middle(group.flatMap((row) => ratio(row, all))),
    wrong: group.reduce((sum, row) => sum + row.failed + Math.abs(row.expected - row.arrived) + row.clear, 0),
    steal: Math.max(...group.map(({ steal }) => steal)),
    calibration: median(group.map(({ calibration }) => calibration)),
  }
}

function middle(values: readonly number[]): Middle | undefined {
  if (values.length === 0) return undefined
  return { median: median(values), least: quantile(values, 0), most: quantile(values, 1) }
}

function ratio(row: Row, all: readonly Row[]): number[] {
  const reference = referenceOf(row.scenario)
  const other = all.find(({ peer, scenario, round }) => peer === reference && scenario === row.scenario && round === row.round)
  if (other === undefined) return []
  if (row.endToEndRate !== undefined && other.endToEndRate !== undefined) return [row.endToEndRate / other.endToEndRate]
  return row.idleP50 !== undefined && other.idleP50 !== undefined ? [other.idleP50 / row.idleP50] : []
}
