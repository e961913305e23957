/** The command line of `npm run bench`. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../src/ops/package-root.ts'
import { exim } from './peers/exim.ts'
import { haraka } from './peers/haraka.ts'
import { ours } from './peers/ours.ts'
import type { PeerKind } from './peers/peer.ts'
import { postfix, tunedPostfix } from './peers/postfix.ts'
import { type Scenario, scenarios } from './scenarios.ts'
import { trials } from './trials/index.ts'
import type { Trial } from './trials/trial.ts'

export type Options =
  | {
      readonly kind: 'run'
      readonly peers: readonly PeerKind[]
      readonly scenarios: readonly Scenario[]
      readonly rounds: number
      /** So many messages each peer gets after its start before it is measured. */
      readonly warmUp: number
      readonly folder: string
      readonly results: string
      readonly append: boolean
      /** The page whose measured part is written anew; undefined: none, because the results are kept elsewhere. */
      readonly page: string | undefined
      readonly trials: readonly Trial[]
      /** 1, or less for a quick run. */
      readonly trialScale: number
      /** Our main.js. */
      readonly program: string
      /** Only write the report of the results that are there. */
      readonly onlyReport: boolean
    }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly text: string }

/** Where queues and tools go when nothing else is said. */
export const scratch = process.env.BENCH_FOLDER ?? join(tmpdir(), 'letterlock-bench')

const built = join(packageRoot, 'dist', 'main.js')

/** Enough to see how the engines differ; a full run is to take twenty minutes. */
const onPostgres = ['20k', 'cold', '20k-once', '100k', 'far', 'idle']

/** Every peer there is; `program` is the main.js that ours are, `folder` where the setup has put others. */
const allPeers = (program: string, folder: string): readonly PeerKind[] => [
  postfix,
  tunedPostfix,
  exim(folder),
  haraka(folder),
  ours({ name: 'letterlock', about: 'Letterlock with SQLite', program }),
  ours({
    name: 'letterlock-postgres',
    about: 'Letterlock with PostgreSQL on this machine',
    program,
    postgres: true,
    scenarios: onPostgres,
  }),
]

export const helpText = `npm run bench -- [options]        Letterlock beside other mail servers, on this machine

  --peers a,b            which: ${allPeers(built, scratch)
    .map(({ name }) => name)
    .join(', ')} (default: all that are installed)
  --main FILE            the main.js that our peers are (default: this working tree's dist/main.js)
  --program name=FILE    one more Letterlock, of another build; may be repeated
  --scenarios a,b        which: ${scenarios.map(({ name }) => name).join(', ')} (default: all; none)
  --trials a,b           which: ${trials.map(({ name }) => name).join(', ')} (default: all; none)
  --rounds N             how often each peer is measured under each scenario, in turns (default 3)
  --warm-up N            so many messages each peer gets before it is measured, but for the scenario cold (default 3000)
  --quick                one round of a third of the messages, those to warm up too, trials of a tenth: about five minutes
  --scale X              X times as many messages, in trials too
  --folder DIR           scratch, on the disk that is to be measured (default ${scratch}, or $BENCH_FOLDER)
  --results DIR          where the results are written (default bench/results)
  --append               add to the results that are there
  --report               measure nothing, only write the report of the results anew
  --no-build             do not install and build first
  --help

Scenarios:
${scenarios.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}

Trials, of Letterlock alone:
${trials.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}
`

const known = {
  peers: { type: 'string' },
  main: { type: 'string' },
  program: { type: 'string', multiple: true },
  scenarios: { type: 'string' },
  trials: { type: 'string' },
  rounds: { type: 'string' },
  'warm-up': { type: 'string' },
  quick: { type: 'boolean' },
  scale: { type: 'string' },
  folder: { type: 'string' },
  results: { type: 'string' },
  append: { type: 'boolean' },
  report: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

/** Read the command line; what is wrong with it is said in a sentence. */
export function readOptions(argv: readonly string[]): Options {
  try {
    return chosen(parseArgs({ args: [...argv], options: known }).values)
  } catch (error) {
    return { kind: 'wrong', text: error instanceof Error ? error.message : String(error) }
  }
}

type Values = ReturnType<typeof parseArgs<{ options: typeof known }>>['values']

function chosen(values: Values): Options {
  if (values.help) return { kind: 'help' }
  const programs = (values.program ?? []).map((text) => {
    const [name = '', program] = text.split('=')
    if (!/^[a-z0-9-]+$/.test(name) || program === undefined) throw new Error('--program wants name=FILE, such as before=/old/dist/main.js')
    return ours({ name, about: program, program })
  })
  const folder = values.folder ?? scratch
  const program = values.main ?? built
  const wanted = number(values.scale ?? '1', '--scale')
  const scale = wanted * (values.quick ? 1 / 3 : 1)
  return {
    kind: 'run',
    peers: [...named(values.peers, allPeers(program, folder), 'peer'), ...programs],
    scenarios: named(values.scenarios, scenarios, 'scenario').map((scenario) => ({
      ...scenario,
      messages: Math.max(scenario.sessions, Math.round(scenario.messages * scale)),
    })),
    rounds: number(values.rounds ?? (values.quick ? '1' : '3'), '--rounds'),
    warmUp: Math.round(whole(values['warm-up'] ?? '3000', '--warm-up') * (values.quick ? 1 / 3 : 1)),
    folder,
    results: values.results ?? join(import.meta.dirname, 'results'),
    append: values.append === true,
    page: values.results === undefined ? join(packageRoot, 'docs', 'performance.md') : undefined,
    trials: named(values.trials, trials, 'trial'),
    trialScale: wanted * (values.quick ? 1 / 10 : 1),
    program,
    onlyReport: values.report === true,
  }
}

function number(text: string, option: string): number {
  const read = Number(text)
  if (Number.isFinite(read) && read > 0) return read
  throw new Error(`${option} wants a number above 0, not '${text}'`)
}

function whole(text: string, option: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw new Error(`${option} wants a whole number, 0 or more, not '${text}'`)
}

function named<T extends { readonly name: string }>(text: string | undefined, from: readonly T[], what: string): readonly T[] {
  if (text === undefined) return from
  if (text === 'none') return []
  return text.split(',').map((name) => {
    const found = from.find((one) => one.name === name)
    if (found === undefined) throw new Error(`there is no ${what} '${name}'; there are ${from.map((one) => one.name).join(', ')}`)
    return found
  })
}
