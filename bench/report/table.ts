/** The measurements as Markdown tables, one for each scenario. */
import { type Scenario, scenarios } from '../scenarios.ts'
import { type Middle, referenceOf, type Summary } from './summary.ts'

/** Every scenario that was measured, in the order of scenarios.ts. */
export function tables(all: readonly Summary[]): string {
  const best = Math.max(...all.map(({ calibration }) => calibration))
  return scenarios
    .map((scenario) => ({ scenario, those: all.filter((one) => one.scenario === scenario.name) }))
    .filter(({ those }) => those.length > 0)
    .map(({ scenario, those }) => section(scenario, those, best))
    .join('\n\n')
}

type Column = { readonly head: string; readonly cell: (one: Summary) => string }

function section({ name, about, idle }: Scenario, those: readonly Summary[], best: number): string {
  const columns: readonly Column[] = [
    { head: 'server', cell: ({ peer, version }) => `${peer} ${version}` },
    ...(idle ? latency : rates),
    { head: `× ${referenceOf(name)}`, cell: ({ ratio }) => shown(ratio?.median, 2) },
    { head: 'CPU s / 1,000', cell: ({ cpu }) => shown(cpu?.median, 2) },
    { head: 'memory MB (peak)', cell: ({ memory, memoryPeak }) => `${shown(memory?.median)} (${shown(memoryPeak?.most)})` },
    { head: 'wrong', cell: ({ wrong }) => (wrong === 0 ? '0' : `**${wrong}**`) },
    { head: 'stolen, machine', cell: ({ steal, calibration }) => `${shown(steal)} %, ${Math.round((100 * calibration) / best)} %` },
  ]
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const lines = [
    row(columns.map(({ head }) => head)),
    row(columns.map(() => '---')),
    ...those.map((one) => row(columns.map(({ cell }) => cell(one)))),
  ]
  return `**${name}: ${about}**\n\n${lines.join('\n')}`
}

const rates: readonly Column[] = [
  { head: 'through msg/s (least–most)', cell: ({ through }) => withSpread(through) },
  { head: 'accepted msg/s', cell: ({ accepted }) => shown(accepted?.median) },
  { head: 'reply p50 / p99 ms', cell: ({ acceptP50, acceptP99 }) => `${shown(acceptP50?.median, 1)} / ${shown(acceptP99?.median, 1)}` },
]

const latency: readonly Column[] = [
  { head: 'end to end p50 ms (least–most)', cell: ({ idleP50 }) => withSpread(idleP50) },
  { head: 'p99 ms', cell: ({ idleP99 }) => shown(idleP99?.median, 1) },
]

const withSpread = (middle: Middle | undefined): string =>
  middle === undefined ? '' : `${shown(middle.median)} (${shown(middle.least)}–${shown(middle.most)})`

/** Three figures are enough: 1482, 230, 12.3, 0.82. Empty when there is no value. */
export function shown(value: number | undefined, digits?: number): string {
  if (value === undefined || Number.isNaN(value)) return ''
  if (digits !== undefined) return value >= 100 ? `${Math.round(value)}` : value.toFixed(digits)
  return value >= 30 ? `${Math.round(value)}` : String(Number(value.toFixed(value >= 10 ? 1 : 2)))
}
