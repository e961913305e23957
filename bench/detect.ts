/** Prints what each detector costs for 1 MB of the worst input we know, in a new thread that stands ready for its first mail: `node --import tsx bench/detect.ts [part of a name]`. */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { look } from '../src/detect/look.ts'
import { checkPattern } from '../src/detect/pattern.ts'
import { warmUp } from '../src/detect/warm.ts'

type Case = { readonly name: string; readonly patterns: readonly string[]; readonly what: string; readonly text: () => string }

const megabyte = 1024 * 1024
/** Milliseconds that one look may take (issue: "1 MB worst-case inputs"). */
const least = 50

const filled = (piece: string, end = ''): string => piece.repeat(Math.ceil(megabyte / piece.length)).slice(0, megabyte - end.length) + end

/** The same for every run: pieces in an order that repeats nothing. */
function shuffled(pieces: readonly string[]): string {
  const chosen: string[] = []
  let state = 12_345
  for (let size = 0; size < megabyte; size += chosen.at(-1)?.length ?? 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    chosen.push(pieces[(state >> 12) % pieces.length] ?? '')
  }
  return chosen.join('').slice(0, megabyte)
}
const between = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String.fromCodePoint(from + i))

const builtIn: readonly Case[] = Object.entries({
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
}).flatMap(([name, pieces]) => pieces.map((piece) => ({ name, patterns: [], what: JSON.stringify(piece), text: () => filled(piece) })))

const own = (pattern: string | readonly string[], what: string, text: () => string): Case => ({
  name: 'own',
  patterns: [pattern].flat(),
  what,
  text,
})
const repeated = (pattern: string, piece: string, end = '') =>
  own(pattern, JSON.stringify(piece) + (end && ` … ${JSON.stringify(end)}`), () => filled(piece, end))

const cases: readonly Case[] = [
  ...builtIn,
  repeated('\\bAZ-20\\d\\d-\\d{5}\\b', 'AZ-2012-1234 '),
  repeated('\\bAZ-20\\d\\d-\\d{5}\\b', 'AZ-2012-12345 '),
  repeated('\\bAZ-20\\d\\d-\\d{5}\\b', '\n', 'AZ-2012-12345'),
  repeated('a{500}b|z', 'a', 'z'),
  repeated('(?:a?){100}b|z', 'a', 'z'),
  repeated('\\w{3,40}@', 'a', '@'),
  repeated('(a+)+b', 'a'),
  // One find, read three times: to its end, back to its beginning, and whether it goes on.
  repeated('(?s)x.*y', 'xa', 'y'),
  repeated('\\w+', 'a'),
  repeated('[a ]+', 'a '),
  repeated('a', 'a'),
  // Each of a thousand finds reads on as far as it may.
  repeated('a(?:[^b]*b)?', 'a'),
  // As many rows as a table may have, in an order that repeats nothing.
  own('project.{0,50}secret', 'pieces of project and secret', () => shuffled(['p', 'pr', 'project', 'secre', 'secret', 's', 'x', 'o'])),
  own('a[ab]{9}c', 'a and b', () => shuffled(['a', 'b'])),
  own('AKIA[0-9A-Z]{16}', 'pieces of AKIA', () => shuffled(['A', 'AK', 'AKI', 'AKIA', '0'])),
  own('\\b(?:diagnos\\w*|patient).{1,20}\\d{8}', 'pieces of it', () => shuffled(['diagnos', 'is', ' ', 'patient', '1', '12345678', '-'])),
  // What Latin-1 does not hold.
  own('\\pL{3,20}\\d \\p{Lu}\\p{Greek}+', 'all of the first plane', () => shuffled(between(0x20, 0xd800))),
  own('[^a-z]{3,9}\\p{Han}x', 'Chinese', () => shuffled(between(0x4e00, 0x9fff))),
  own('(?s)😀.*z', 'emoji', () => shuffled(between(0x1f600, 0x1f640))),
  own('\\b\\w+\\b.ſ', 'Kelvin signs', () => shuffled(['\u212a', 'k', 'ſ', 's', ' '])),
  own(
    Array.from({ length: 20 }, (_, i) => `\\bX${i}-\\d{4}-[A-Z]{2}\\b`),
    '20 patterns, none found',
    () => shuffled(['X1', '-', '2025', '4', ' ', 'X12-2025-']),
  ),
]

const inThread = (index: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const load = `import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(({ register }) => { register(); return import(${JSON.stringify(import.meta.url)}) })`
    const thread = new Worker(load, { eval: true, workerData: index })
    thread.once('message', resolve).once('error', reject)
  })

if (isMainThread) {
  const wanted = process.argv[2] ?? ''
  for (const [i, { name, patterns }] of cases.entries())
    if (`${name} ${patterns.join(' ')}`.includes(wanted)) process.stdout.write(`${await inThread(i)}\n`)
} else {
  const { name, patterns, what, text } = cases[workerData as number] ?? { name: '', patterns: [], what: '', text: () => '' }
  const texts = [{ place: 'text', text: text() }]
  warmUp()
  const [started, used] = [performance.now(), process.cpuUsage()]
  const [found] = look(texts, [{ name, words: [], patterns }])
  const { user, system } = process.cpuUsage(used)
  const [ms, cpu] = [performance.now() - started, (user + system) / 1000]
  const refused = patterns.filter((pattern) => checkPattern(pattern).wrong !== undefined)
  if (refused.length > 0) throw new Error(`no policy may have ${refused.join(', ')}`)
  const looked = `${name} ${patterns.length > 1 ? '' : patterns.join('')}`
  parentPort?.postMessage(
    `${looked.padEnd(44)} ${what.padEnd(52)} ${ms.toFixed(0).padStart(4)} ms, ${cpu.toFixed(0).padStart(4)} ms of processor, ${String(found?.count).padStart(4)} found: ${ms < least ? 'under' : 'NOT under'} ${least} ms`,
  )
}
