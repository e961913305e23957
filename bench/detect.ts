/** Prints what each detector costs for 1 MB of the worst input we know, in a thread that has just started: `node --import tsx bench/detect.ts`. */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { look } from '../src/detect/look.ts'

type Job = { readonly name: string; readonly patterns: readonly string[]; readonly piece: string }

const megabyte = 1024 * 1024
const pieces: { readonly [detector: string]: readonly string[] } = {
  'payment-card': [
    '4111 ',
    '411 ',
    '400 000 000 000 000 ',
    '4111 1111 1111 1111\n',
    '4000000000000000000 ',
    '41111 ',
    '411 111 111 111 111 1 ',
    '7',
  ],
  iban: ['DE00 ', 'RU00 ', 'RU 00 ', 'DE89 3704 0044 0532 0130 00 ', 'DE1 ', 'a'],
  'us-ssn': ['123-45-6789 ', '123-45-6789', '123-45-'],
  'medical-terms': ['diagnosis ', 'a', 'heart failure and differential side effects, '],
}
const own: readonly (readonly [pattern: string, piece: string])[] = [
  ['\\bAZ-20\\d\\d-\\d{5}\\b', 'AZ-2012-1234 '],
  ['\\bAZ-20\\d\\d-\\d{5}\\b', 'AZ-2012-12345 '],
  ['a{500}b', 'a'],
  ['(a+)+b', 'a'],
  ['\\w{3,40}@', 'a'],
]

const inThread = (job: Job): Promise<string> =>
  new Promise((resolve, reject) => {
    const load = `import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(({ register }) => { register(); return import(${JSON.stringify(import.meta.url)}) })`
    const thread = new Worker(load, { eval: true, workerData: job })
    thread.once('message', resolve).once('error', reject)
  })

if (isMainThread) {
  const jobs: Job[] = [
    ...Object.entries(pieces).flatMap(([name, all]) => all.map((piece) => ({ name, patterns: [], piece }))),
    ...own.map(([pattern, piece]) => ({ name: 'own', patterns: [pattern], piece })),
  ]
  for (const job of jobs) process.stdout.write(`${await inThread(job)}\n`)
} else {
  const { name, patterns, piece } = workerData as Job
  const text = piece.repeat(Math.ceil(megabyte / piece.length)).slice(0, megabyte)
  const [started, used] = [performance.now(), process.cpuUsage()]
  const [found] = look([{ place: 'text', text }], [{ name, words: [], patterns }])
  const { user, system } = process.cpuUsage(used)
  const [ms, cpu] = [performance.now() - started, (user + system) / 1000]
  const what = `${name}${patterns.map((pattern) => ` ${pattern}`).join('')}`
  parentPort?.postMessage(
    `${what.padEnd(28)} ${JSON.stringify(piece).padEnd(52)} ${ms.toFixed(0).padStart(4)} ms, ${cpu.toFixed(0).padStart(4)} ms of processor, ${found?.count} found`,
  )
}
