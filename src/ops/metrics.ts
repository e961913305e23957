/** What a monitoring system is told of the gateway, in Prometheus' text format. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { type Count, type CounterName, counters } from './counters.ts'
import { packageRoot } from './package-root.ts'
import { within } from './within.ts'

/** What the database knows. It is of the whole installation: however many nodes serve it, each tells the same. */
export type Figures = {
  readonly counts: readonly Count[]
  /** Recipients by state. */
  readonly queue: { readonly [state: string]: number }
  /** Milliseconds since the oldest mail that waits was accepted; 0 when none does. */
  readonly oldest: number
  /** Letters that can still be opened, by state. */
  readonly letters: { readonly [state: string]: number }
}

/** How this node stands. */
export type Standing = {
  /** Mail is taken: as /readyz says. */
  readonly ready: boolean
  /** The audit chain was sound when it was last recomputed; undefined: not yet, or others do it. */
  readonly chainSound: boolean | undefined
}

/** What /metrics answers: a text with its content type, or a sentence that says why there is none. */
export type Exposition =
  | { readonly kind: 'text'; readonly type: string; readonly text: string }
  | { readonly kind: 'trouble'; readonly text: string }

export type Metrics = {
  /** Submitted mail has reached its next hop, or the vault, so many milliseconds after its acceptance. */
  readonly delivered: (method: string, milliseconds: number) => void
  /** A letter was read for the first time, so many milliseconds after it was sealed. */
  readonly read: (milliseconds: number) => void
  /** Never rejects. */
  readonly expose: () => Promise<Exposition>
}

/**
 * `engine`: of the database. At a scrape `standing` is asked for, and `figures`, these once at a time and not again before they have rested.
 */
export function createMetrics({
  engine,
  figures,
  standing,
}: {
  readonly engine: string
  readonly figures: () => Promise<Figures>
  readonly standing: () => Promise<Standing>
}): Metrics {
  const registry = new Registry()
  const { duration, timeToRead, stand } = ofThisNode(registry, engine)
  const show = ofInstallation(registry)
  const read = rested(figures)
  const all = Registry.merge([registry, ofProcess()])
  return {
    delivered: (method, milliseconds) => duration.observe({ method }, milliseconds / 1000),
    read: (milliseconds) => timeToRead.observe(milliseconds / 1000),
    expose: async () => {
      try {
        const [now, known] = await timely(Promise.all([standing(), read()]))
        stand(now)
        show(known)
        return { kind: 'text', type: all.contentType, text: spelled(await all.metrics()) }
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        return { kind: 'trouble', text: `there are no figures, for the database does not answer: ${why}` }
      }
    },
  }
}

/** The package writes `Nan` (of an event loop just asked about), which stricter readers than Prometheus refuse. */
const spelled = (text: string): string => text.replace(/ Nan$/gm, ' NaN')

/** Milliseconds; less than what a scraper waits for us. */
const patience = 5000

async function timely<T>(work: Promise<T>): Promise<T> {
  if (await within(patience, work)) return work
  throw new Error(`nothing within ${patience / 1000} s`)
}

/** Of the time between two looks at the database at most this part is spent on them, however often one asks and however much there is. */
const share = 1 / 20

/** One run for all who ask meanwhile, then its answer for as long as that was worth. What failed is not kept. */
function rested<T>(work: () => Promise<T>): () => Promise<T> {
  let last: Promise<T> | undefined
  let until = Number.NEGATIVE_INFINITY
  const run = async (): Promise<T> => {
    const begun = performance.now()
    try {
      const answer = await work()
      until = performance.now() + (performance.now() - begun) / share
      return answer
    } catch (error) {
      last = undefined
      throw error
    }
  }
  return () => {
    if (last === undefined || performance.now() >= until) {
      until = Number.POSITIVE_INFINITY
      last = run()
    }
    return last
  }
}

const minute = 60
const hour = 60 * minute
const day = 24 * hour

/** Counted in this process since it started: nodes are added up. */
function ofThisNode(registry: Registry, engine: string) {
  const registers = [registry]
  const build = new Gauge({
    name: 'letterlock_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'node', 'engine'],
    registers,
  })
  build.set({ version: version(), node: process.version, engine }, 1)
  const ready = new Gauge({
    name: 'letterlock_ready',
    help: '1 while mail is taken, 0 while /readyz says why not. Of this node.',
    registers,
  })
  const chain = new Gauge({
    name: 'letterlock_audit_chain_ok',
    help: '1 when the audit chain was sound at its daily check, 0 when it was broken; absent before the first. Of the node that checks it.',
    registers,
  })
  return {
    stand: ({ ready: is, chainSound }: Standing) => {
      ready.set(is ? 1 : 0)
      if (chainSound === undefined) chain.remove()
      else chain.set(chainSound ? 1 : 0)
    },
    duration: new Histogram({
      name: 'letterlock_delivery_duration_seconds',
      help: 'Time from the acceptance of submitted mail until its next hop, or the vault, has it. Of this node.',
      labelNames: ['method'],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 15, minute, 5 * minute, 30 * minute, hour, 4 * hour, day, 5 * day],
      registers,
    }),
    timeToRead: new Histogram({
      name: 'letterlock_time_to_read_seconds',
      help: 'Time from the sealing of a letter until it is first read. Of this node.',
      buckets: [minute, 5 * minute, 15 * minute, hour, 4 * hour, 12 * hour, day, 3 * day, 7 * day, 14 * day, 30 * day],
      registers,
    }),
  }
}

const everywhere = 'The same on every node: take the maximum, not the sum.'

/** What is shown of the database's figures. */
function ofInstallation(registry: Registry): (figures: Figures) => void {
  const registers = [registry]
  const names = Object.keys(counters) as CounterName[]
  const shown = new Map(
    names.map((name) => {
      const { help, labels } = counters[name]
      return [name, new Counter<string>({ name, help: `${help} ${everywhere}`, labelNames: labels, registers })]
    }),
  )
  const gauge = (name: string, help: string, ...labelNames: string[]) =>
    new Gauge<string>({ name, help: `${help} ${everywhere}`, labelNames, registers })
  const queue = gauge('letterlock_queue_messages', 'Recipients in the queue: waiting for an attempt, or held.', 'state')
  const oldest = gauge('letterlock_queue_oldest_seconds', 'How long ago the oldest mail that waits was accepted; 0 when none does.')
  const letters = gauge('letterlock_letters', 'Letters that can still be opened: waiting for their notice, notified, read.', 'state')
  return (figures) => {
    for (const counter of shown.values()) counter.reset()
    for (const { name, labels, by } of figures.counts) shown.get(name)?.inc(labels, by)
    for (const [state, count] of Object.entries(figures.queue)) queue.set({ state }, count)
    for (const [state, count] of Object.entries(figures.letters)) letters.set({ state }, count)
    oldest.set(figures.oldest / 1000)
  }
}

let processes: Registry | undefined

/** Of this process, whatever runs in it: what watches its event loop and its garbage collector is begun once and cannot be ended. */
function ofProcess(): Registry {
  if (processes !== undefined) return processes
  processes = new Registry()
  collectDefaultMetrics({ register: processes })
  return processes
}

const version = (): string => (JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version
