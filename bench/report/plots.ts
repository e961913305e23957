/** Which plots there are: rates as ratios, processor time, and latency when idle. */
import { scenarios } from '../scenarios.ts'
import type { Middle, Summary } from './summary.ts'
import { type Bar, barChart, type Group } from './svg.ts'
import { shown } from './table.ts'

export type Plot = { readonly file: string; readonly title: string; readonly svg: string }

/** The servers shown; the others stand in the tables. */
const shownPeers = ['postfix', 'postfix-tuned', 'letterlock', 'letterlock-postgres']

/** All that have something to show. */
export function plots(all: readonly Summary[]): readonly Plot[] {
  const busy = scenarios.filter(({ idle }) => !idle).map(({ name }) => name)
  return [
    plot(
      'rates.svg',
      'End-to-end rate, × tuned Postfix in the same round',
      all,
      busy,
      (one) => bar(one.ratio, (value) => `${shown(value, 2)} ×`),
      1,
    ),
    plot(
      'cpu.svg',
      'CPU seconds for 1,000 messages (less is better)',
      all,
      busy.filter((name) => name !== '10m'),
      (one) => bar(one.cpu, (value) => `${shown(value, 2)} s`),
    ),
    plot('idle.svg', 'One message at a time, end to end, p50 (less is better)', all, ['idle'], (one) =>
      bar(one.idleP50, (value) => `${shown(value, 1)} ms`),
    ),
  ].filter((made) => made !== undefined)
}

type Of = (one: Summary) => Bar | undefined

function plot(file: string, title: string, all: readonly Summary[], names: readonly string[], of: Of, line?: number): Plot | undefined {
  const barOf = (scenario: string, peer: string) => {
    const found = all.find((one) => one.scenario === scenario && one.peer === peer)
    return found && of(found)
  }
  const groups: Group[] = names
    .map((scenario) => ({ name: scenario, bars: shownPeers.map((peer) => barOf(scenario, peer)) }))
    .filter(({ bars }) => bars.some((one) => one !== undefined))
  if (groups.length === 0) return undefined
  const words = ({ name, bars }: Group) => `${name}: ${bars.flatMap((one, i) => (one ? [`${shownPeers[i]} ${one.text}`] : [])).join(', ')}`
  const description = `${groups.map(words).join('. ')}.`
  return { file, title, svg: barChart({ title, description, legend: shownPeers, groups, ...(line === undefined ? {} : { line }) }) }
}

const bar = (middle: Middle | undefined, words: (value: number) => string): Bar | undefined =>
  middle && { value: middle.median, least: middle.least, most: middle.most, text: words(middle.median) }
