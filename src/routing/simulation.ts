/** Runs a simulation over the stored decisions: the same for the command and the API. */
import type { Clock } from '../ops/clock.ts'
import type { Db } from '../store/db.ts'
import { lintHistory } from './lint-history.ts'
import type { Policy } from './policy.ts'
import type { Problem } from './problem.ts'
import { countDecisions, decisionsSince, readSurroundings } from './replay.ts'
import { PolicyAltered } from './signature.ts'
import { createSimulation, type Simulated, type SimulationSettings } from './simulate.ts'
import type { PolicyStore } from './store.ts'

export type SimulationAsked = {
  /** Decisions first made since then, milliseconds since 1970. */
  readonly since: number
  /** Compare with the policy in force now, or with the one that decided each then. */
  readonly against: 'now' | 'then'
  /** Told after each page; `total` is an upper bound. */
  readonly onProgress?: (done: number, total: number) => void
  /** Rejects with its reason once it is aborted. */
  readonly signal?: AbortSignal
}

type Parts = {
  readonly db: Db
  readonly clock: Clock
  readonly policies: Pick<PolicyStore, 'at' | 'ensureDefault'>
  readonly settings: SimulationSettings & { readonly 'tls.ratchet': number }
}

/** Replay in short reads, beside a running server. Rejects when the database fails; PolicyAltered when the policy in force is not ours. */
export async function runSimulation(
  next: Policy,
  parts: Parts,
  { since, against, onProgress, signal }: SimulationAsked,
): Promise<Simulated> {
  const { db, clock, policies, settings } = parts
  const current = (await policies.ensureDefault()).policy
  const around = await readSurroundings(db, clock(), settings['tls.ratchet'])
  const revisions = new Map<number, Policy | undefined>([[current.revision, current]])
  const then = (revision: number) => revisions.get(revision)
  const before = against === 'now' ? () => current : then
  const simulation = createSimulation({ next, before, then, around, settings })
  const total = onProgress === undefined ? 0 : await countDecisions(db, since)
  const pause = createPauses()
  let done = 0
  for await (const { rows, decisions } of decisionsSince(db, since)) {
    signal?.throwIfAborted()
    for (const decision of decisions) {
      const { revision } = decision
      if (!revisions.has(revision)) revisions.set(revision, await policyOf(policies, revision))
      simulation.add(decision)
      const others = pause()
      if (others !== undefined) await others
    }
    done += rows
    onProgress?.(done, total)
  }
  return simulation.result()
}

/** Milliseconds at a stretch; what waits meanwhile is mail. */
const stretch = 20

/** Lets others run where this has run long enough: a policy of thousands of rules takes seconds for a page of decisions. */
function createPauses(): () => Promise<void> | undefined {
  let started = performance.now()
  return () => {
    if (performance.now() - started < stretch) return undefined
    return new Promise((resolve) =>
      setImmediate(() => {
        started = performance.now()
        resolve()
      }),
    )
  }
}

const lintedDays = 90
/** Rows; beyond them a check would take longer than somebody likes to wait. */
const mostLinted = 50_000

/** What the mail of the last 90 days says against a policy; mostly a few pages tell, for a level that was met once is enough. */
export async function historyWarnings(policy: Policy, { db, clock, policies, settings }: Parts): Promise<Problem[]> {
  const now = clock()
  const around = await readSurroundings(db, now, settings['tls.ratchet'])
  const revisions = new Map<number, Policy | undefined>()
  const lint = lintHistory(policy, (revision) => revisions.get(revision), around, settings)
  let read = 0
  for await (const { rows, decisions } of decisionsSince(db, now - lintedDays * 86_400_000)) {
    for (const decision of decisions) {
      const { revision } = decision
      if (!revisions.has(revision)) revisions.set(revision, await policyOf(policies, revision))
      lint.add(decision)
    }
    read += rows
    if (lint.done() || read >= mostLinted) break
  }
  return lint.warnings(`${lintedDays} days`)
}

/** Undefined when it is not there any more, or not ours. */
async function policyOf(policies: Pick<PolicyStore, 'at'>, revision: number): Promise<Policy | undefined> {
  try {
    return (await policies.at(revision))?.policy
  } catch (error) {
    if (error instanceof PolicyAltered) return undefined
    throw error
  }
}
