/** Prints how long it takes to refuse texts that are meant to hurt, and to read the largest policies, each in a thread that has just started: `node --import tsx bench/policy.ts [WORDS]`. */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { methods } from '../src/methods/index.ts'
import { defaultSettings } from '../src/ops/settings.ts'
import { examine } from '../src/routing/examine.ts'
import { parsePolicy } from '../src/routing/parse.ts'
import { readShape } from '../src/routing/shape.ts'
import { largestPolicy } from '../src/routing/tree.ts'

/** What a text is made of: `piece` again and again, each with its number, between `head` and `tail`. */
type Shape = { readonly piece: (index: number) => string; readonly head: string; readonly tail: string }

const made = ({ piece, head, tail }: Shape, count: number): string => `${head}${times(count, piece)}${tail}`

/** How many pieces bytes allow. */
function ofBytes(shape: Shape): number {
  let left = largestPolicy - Buffer.byteLength(made(shape, 0))
  for (let count = 0; ; count++) {
    left -= Buffer.byteLength(shape.piece(count))
    if (left < 0) return count
  }
}

/** As many of those as are let in to the parser: the most work that can be made for it. */
function ofParts(shape: Shape, most: number): number {
  const isLetIn = (text: string) => {
    let [told, refused] = ['', 0]
    const report = (_: unknown, why: string) => {
      told ||= why
      refused += 1
    }
    readShape(text, report, () => refused >= 50)
    return !told.startsWith('more than')
  }
  let [enough, tooMany] = [0, most + 1]
  while (tooMany - enough > 1) {
    const middle = (enough + tooMany) >> 1
    if (isLetIn(made(shape, middle))) enough = middle
    else tooMany = middle
  }
  return enough
}

const times = (count: number, piece: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => piece(index)).join('')
const version = 'version: 1\n'
const last = 'default: { deliver: [tls, escrow] }\n'
const full = (piece: Shape['piece'], head = '', tail = ''): Shape => ({ piece, head, tail })

const shapes: { readonly [name: string]: () => string | Shape } = {
  'refused: 5 MB': () => `${version}${last}${'# words\n'.repeat(625_000)}`,
  'refused: deep flow': () => '[{a: '.repeat(200_000),
  'refused: deep block': () => full((i) => `${' '.repeat(i)}a:\n`),
  'refused: 90 levels of block, again and again': () => full((i) => `${' '.repeat(i % 90)}a${i}:\n`),
  'refused: 31 levels of flow, again and again': () => full(() => `- ${'[{a: '.repeat(15)}1${'}]'.repeat(15)}\n`),
  'refused: one long scalar': () => `${version}x: ${'a'.repeat(largestPolicy - 20)}\n`,
  'refused: long scalar of escapes': () => `${version}x: "${'\\u00e4'.repeat(170_000)}"\n`,
  'refused: long folded scalar': () => `${version}x: >\n${'  a\n'.repeat(260_000)}`,
  'refused: plain scalar of many lines': () => `${version}x:\n${'  a\n'.repeat(260_000)}`,
  'refused: anchors and aliases': () => full((i) => `k${i}: &a${i} [x, *a${i - 1}]\n`, 'k: &a-1 x\n'),
  'refused: one key again and again': () => full(() => 'a: 1\n'),
  'refused: different keys': () => full((i) => `k${i}: 1\n`),
  'refused: one flow mapping of keys': () => full((i) => `k${i}: 1, `, '{', '}'),
  'refused: one huge list': () => full(() => 'a,', `${version}rules: [`, ']\n'),
  'refused: one huge list of nothing': () => full(() => ',', `${version}rules: [`, ']\n'),
  'refused: one huge block list': () => full(() => '- a\n', `${version}rules:\n`),
  'refused: comments': () => full(() => '#\n', version),
  'refused: a comment behind each key': () => full((i) => `k${i}: 1 # a\n`),
  'refused: empty lines': () => full(() => '\n', version),
  'refused: spaces': () => full(() => ' ', version),
  'refused: each rule wrong': () => full((i) => `  - { name: r${i}, when: { too: x }, deliver: [tsl] }\n`, `${version}rules:\n`, last),
  'refused: each group unknown': () =>
    full(
      (i) => `  - { name: r${i}, when: { to: group:bamk }, deliver: [tls] }\n`,
      `${version}groups:\n${times(5000, (i) => `  bank${i}: [a.example]\n`)}rules:\n`,
      last,
    ),
  'refused: each rule of an exception unknown': () =>
    full(
      () => 'x, ',
      `${version}rules:\n${times(5000, (i) => `- { name: ${'n'.repeat(50)}${i}, when: { is: dsn }, deliver: [tls] }\n`)}${last}tests:\n  - { invariant: never-plaintext, except: [`,
      ']}\n',
    ),
  'refused: each member of a group wrong': () => full(() => '  - a b\n', `${version}groups:\n  g:\n`, last),
  'refused: each pattern wrong': () => full(() => '      - "(a+"\n', `${version}detectors:\n  d:\n    patterns:\n`, last),
  'refused: each pattern large': () =>
    full((i) => `  d${i}: { patterns: [${times(200, (j) => `"(a{${j}}){1000}", `)}] }\n`, `${version}detectors:\n`, last),
  'refused: tabs': () => full((i) => `\t- a${i}: 1\n`, `${version}rules:\n`),
  'refused: indentation in error': () => full((i) => `${' '.repeat(i % 7)}a${i}: 1\n`),
  'refused: documents': () => full(() => '---\n'),
  'refused: documents of a key': () => full(() => '---\na: 1\n'),
  'refused: giant numbers': () => `${version}x: ${'9'.repeat(1_000_000)}\n`,
  'refused: many large numbers': () => full(() => `- ${'9'.repeat(300)}\n`, `${version}rules:\n`),
  'refused: quotes not closed': () => full(() => '- "a\n', `${version}rules:\n`),
  'refused: quotes within quotes': () => full(() => `'"`, `${version}rules: `),
  'refused: brackets not closed': () => full(() => '- [\n', `${version}rules:\n`),
  'refused: brackets closed': () => full(() => ']', version),
  'refused: tags': () => full((i) => `k${i}: !t 1\n`),
  'refused: directives': () => full((i) => `%X${i} 1\n`),
  'refused: explicit keys': () => full((i) => `? k${i}\n: 1\n`),
  'refused: question marks': () => full(() => '?\n'),
  'refused: colons': () => full(() => ':\n'),
  'refused: NUL': () => full(() => '\0'),
  'refused: carriage returns': () => full(() => '\r'),
  'refused: approvers of large groups': () =>
    full(
      (i) => `  - { name: r${i}, when: { is: dsn }, deliver: [{ hold: { approvers: [${times(10, (j) => `group:g${j}, `)}] } }] }\n`,
      `${version}groups:\n${times(10, (i) => `  g${i}: [${times(2000, (j) => `p${j}x${i}@org.example, `)}]\n`)}rules:\n`,
      last,
    ),
  'legal: rules and as many tests': () =>
    `${version}rules:\n${times(1500, (i) => `  - { name: r${i}, when: { to: [d${i}.example, e] }, deliver: [tls, pgp, escrow] }\n`)}${last}tests:\n${times(1500, (i) => `  - { from: a@org.example, to: b@d${i}.example, given: { tls: none, pgp: true }, expect: pgp }\n`)}`,
  'legal: 2,000 rules': () =>
    `${version}rules:\n${times(2000, (i) => `  - name: r${i}\n    # why it stands here\n    when: { to: d${i}.example, from: "*.org.example" }\n    deliver: [{ tls: { level: authenticated } }, pgp, escrow]\n\n`)}${last}`,
  'legal: 200 rules, groups of 40,000 addresses': () =>
    `${version}groups:\n${times(10, (i) => `  g${i}: [${times(4000, (j) => `p${i}x${j}@lab.example, `)}]\n`)}rules:\n${times(200, (i) => `  - { name: r${i}, when: { to: group:g${i % 10}, from: a${i}@org.example }, deliver: [tls] }\n`)}${last}`,
  'legal: a group, one address a line': () => full((i) => `    - person${i}@partner.example\n`, `${version}groups:\n  g:\n`, last),
  'legal: two equal groups, named by 1,000 rules each': () =>
    `${version}groups:\n${times(2, (i) => `  g${i}: [${times(10_000, (j) => `person${j}@partner.example, `)}]\n`)}rules:\n${times(2000, (i) => `  - { name: r${i}, when: { to: group:g${i % 2}, from: a${i}@org.example }, deliver: [tls] }\n`)}${last}`,
  'legal: detectors of 5,000 words each': () =>
    full((i) => `  d${i}: { words: [${times(5000, (j) => `w${i}x${j}, `)}] }\n`, `${version}detectors:\n`, last),
  'legal: detectors of 200 patterns each': () =>
    full((i) => `  d${i}: { patterns: [${times(200, (j) => `'\\bA${i}-\\d{${(j % 9) + 1}}', `)}] }\n`, `${version}detectors:\n`, last),
  'legal: 2,000 overrides': () =>
    `${version}${last}overrides:\n${times(2000, (i) => `  - { to: person${i}@lab${i}.example, prefer: pgp, never: [smime], reason: asked by phone on some day, until: 2027-12-31 }\n`)}`,
  'legal: 1,500 rules and as many overrides': () =>
    `${version}rules:\n${times(1500, (i) => `  - { name: r${i}, when: { to: d${i}.example }, deliver: [{ tls: { patience: ${i + 1}m } }, escrow] }\n`)}${last}overrides:\n${times(1500, (i) => `  - { to: x@lab${i}.example, prefer: pgp, reason: asked, until: 2027-12-31 }\n`)}`,
  'legal: 1,500 rules and 1,000 invariants': () =>
    `${version}rules:\n${times(1500, (i) => `  - { name: r${i}, when: { to: d${i}.example }, deliver: [{ tls: { patience: ${i + 1}m } }, escrow] }\n`)}${last}tests:\n${'  - { invariant: never-plaintext }\n'.repeat(1000)}`,
  'legal: 1,500 rules with detectors': () =>
    `${version}rules:\n${times(1500, (i) => `  - { name: r${i}, when: { to: d${i}.example, detect: iban }, deliver: [tls, pgp, escrow] }\n`)}${last}`,
  'legal: a comment of 1 MB': () => `${version}${last}${'# words of a comment, as they are written above a rule\n'.repeat(19_000)}`,
}

type Job = { readonly name: string; readonly text: string }

const inThread = (job: Job): Promise<string> =>
  new Promise((resolve, reject) => {
    const load = `import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(({ register }) => { register(); return import(${JSON.stringify(import.meta.url)}) })`
    const thread = new Worker(load, { eval: true, workerData: job })
    thread.once('message', resolve).once('error', reject)
  })

function measured<T>(work: () => T): { readonly result: T; readonly took: string } {
  const [started, used] = [performance.now(), process.cpuUsage()]
  const result = work()
  const { user, system } = process.cpuUsage(used)
  const [ms, cpu] = [performance.now() - started, (user + system) / 1000]
  return { result, took: `${ms.toFixed(0).padStart(5)} ms, ${cpu.toFixed(0).padStart(5)} ms of processor` }
}

function textsOf(shape: string | Shape): string[] {
  if (typeof shape === 'string') return [shape]
  const most = ofBytes(shape)
  return [...new Set([most, ofParts(shape, most)])].map((count) => made(shape, count))
}

if (isMainThread) {
  const wanted = process.argv[2] ?? ''
  for (const [name, shape] of Object.entries(shapes).filter(([one]) => one.includes(wanted)))
    for (const text of textsOf(shape())) process.stdout.write(`${await inThread({ name, text })}\n`)
} else {
  const { name, text } = workerData as Job
  const { result: read, took } = measured(() => parsePolicy(text, methods))
  const [first] = read.kind === 'errors' ? read.problems : []
  const whole = measured(() => examine(text, { methods, settings: defaultSettings({}), now: Date.now() }))
  const said =
    first === undefined ? `read; examined whole in ${whole.took.trim()}` : `${first.line}:${first.column} ${first.text.slice(0, 70)}`
  parentPort?.postMessage(`${name.padEnd(50)} ${String(Buffer.byteLength(text)).padStart(8)} bytes ${took}; ${said}`)
}
