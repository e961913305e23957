/** Where the processes of the crash tests die, and in which order. */
import { type Failpoint, failpoints } from '../../src/ops/failpoint.ts'
import type { Kill, SoFar } from './campaign.ts'

/** What a start does comes last: it has something to do only where kills have left something. */
const points: readonly Failpoint[] = [
  ...failpoints.filter((name) => !name.startsWith('start.')),
  ...failpoints.filter((name) => name.startsWith('start.') && name !== 'start.blob-swept'),
]

/** The three parts of the short form, each some fifteen kills. */
const parts = { receiving: /^(?:data|blob|accept|commit)\./, delivering: /^(?:claim|deliver|connect|send|letter)\./, settling: /./ }
export type Part = keyof typeof parts
const partOf = (at: Failpoint) => (Object.keys(parts) as Part[]).find((part) => parts[part].test(at))

/** Every point of the part once, and some random moments between them. */
export function* shortForm(part: Part): Generator<Kill, undefined, SoFar> {
  for (const [index, at] of points.filter((one) => partOf(one) === part).entries()) {
    yield { at, n: 1 }
    if (leavesOrphan(at)) yield { at: 'start.blob-swept', n: 1 }
    if (index % 6 === 5) yield { at: 'random', after: 150 }
  }
  yield { at: 'random while starting' }
  return undefined
}

/** Every point again and again, at its first and at later passes, with random moments between, until both numbers are reached. */
export function* longForm(wanted: { readonly kills: number; readonly messages: number }): Generator<Kill, undefined, SoFar> {
  let sofar: SoFar = { kills: 0, accepted: 0 }
  const perKill = wanted.messages / wanted.kills
  for (;;) {
    for (const [index, at] of shuffled(points).entries()) {
      sofar = yield { at, n: Math.random() < 0.3 ? 1 : 1 + Math.floor(Math.random() * mostPasses(at)) }
      if (leavesOrphan(at)) sofar = yield { at: 'start.blob-swept', n: 1 }
      if (index % 10 === 9) sofar = yield { at: 'random while starting' }
      // The first passes of a point come soon after the start: the messages that are missing are sent before random kills.
      if (index % 2 === 1) sofar = yield { at: 'random', after: Math.random() * 2 * Math.max(100, sofar.kills * perKill - sofar.accepted) }
      if (sofar.kills >= wanted.kills && sofar.accepted >= wanted.messages) return undefined
    }
  }
}

/** A blob that is there before its row: the next start has one to sweep. */
const leavesOrphan = (at: Failpoint): boolean => at === 'blob.renamed' || at === 'blob.folder-synced'

/** How often a point is passed in a second or two under load, roughly. */
function mostPasses(at: Failpoint): number {
  if (at.startsWith('start.') || at.startsWith('audit.')) return 1
  if (at === 'commit.statement') return 1500
  if (/^blob|^letter|^bounce|^settle\.(?:letter|bounce)$/.test(at)) return 10
  if (at.startsWith('connect.')) return 30
  return 120
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ item }) => item)
}
