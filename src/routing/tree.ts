/** YAML as a tree in which every value knows its line and column; what shape.ts lets in. */
import { Composer, type CST, type Document, isMap, isScalar, isSeq, LineCounter, type Node, Parser } from 'yaml'
import { type Place, type Problem, problemList, quote, type Report } from './problem.ts'
import { readShape, tooDeep } from './shape.ts'

export type Tree =
  | { readonly kind: 'scalar'; readonly at: Place; readonly value: string | number | boolean | null }
  | { readonly kind: 'list'; readonly at: Place; readonly items: readonly Tree[] }
  | { readonly kind: 'map'; readonly at: Place; readonly entries: readonly Entry[] }
export type Entry = { readonly key: string; readonly at: Place; readonly value: Tree }

export const largestPolicy = 1024 * 1024

/**
 * Read one YAML 1.2 document. Aliases, anchors, tags, directives, several documents, keys that are not words and keys written twice
 * are mistakes. At most 1 MiB, and `mostParts` words, signs and lines.
 */
export function readTree(
  text: string,
): { readonly kind: 'tree'; readonly root: Tree } | { readonly kind: 'errors'; readonly problems: readonly Problem[] } {
  const { problems, report, full } = problemList()
  const size = Buffer.byteLength(text)
  if (size > largestPolicy)
    report(
      { line: 1, column: 1 },
      `the policy has ${size} bytes; at most ${largestPolicy} (1 MiB) are read`,
      'a group can name *.domain for all its subdomains',
    )
  const lexemes = size > largestPolicy ? undefined : readShape(text, report, full)
  if (lexemes === undefined) return { kind: 'errors', problems }

  const lines = new LineCounter()
  const { document, stoppedAt } = compose(lexemes, lines)
  const place = placer(lines)
  for (const { pos, message } of [...document.errors, ...document.warnings])
    report(place(pos[0]), `not valid YAML: ${lowerFirst(message)}`, remedies.find(([said]) => said.test(message))?.[1])
  if (stoppedAt !== undefined) report(place(stoppedAt), tooDeep.text, tooDeep.hint)
  const root = problems.length === 0 ? build(document.contents, { line: 1, column: 1 }, place, report) : undefined
  return root === undefined || problems.length > 0 ? { kind: 'errors', problems } : { kind: 'tree', root }
}

/** What to do about a sentence of the YAML parser. */
const remedies: readonly (readonly [said: RegExp, hint: string])[] = [
  [/^tabs /i, 'indent with spaces'],
  [/end with a [}\]]/, 'a { or [ before it is not closed, or its lines do not stand further right than the key'],
  [/^missing closing/i, 'close the quotes'],
  [
    /^nested mappings|^implicit /i,
    'put a key on a line of its own, or in quotes what is meant as text; items of a mapping stand one below the other',
  ],
  [/^plain value cannot start/i, 'put the value in quotes'],
]

/** Levels that the parser may stand in at once: what readShape lets in has some 150 when it is valid. */
const deepestParse = 200

/**
 * What parseDocument of yaml does, from lexemes that are at hand. `stoppedAt`: where the rest was left out. Of some texts that are not valid, such
 * as `"a"a :` on each line, the parser makes a level for each line, whatever the column, and it recurses with its levels.
 */
function compose(lexemes: readonly string[], lines: LineCounter): { readonly document: Document.Parsed; readonly stoppedAt?: number } {
  const parser = new Parser(lines.addNewLine)
  // uniqueKeys compares every key with every other: quadratic, so we look for doubles ourselves.
  const composer = new Composer({ uniqueKeys: false, prettyErrors: false, version: '1.2', merge: false })
  lines.addNewLine(0)
  const length = lexemes.reduce((sum, lexeme) => sum + lexeme.length, 0)
  const { stackTraceLimit } = Error
  // Each mistake is an Error: of fifty thousand, the stacks that nobody reads are what takes the time.
  Error.stackTraceLimit = 0
  try {
    const { tokens, stoppedAt } = tokensOf(lexemes, parser)
    const [document] = composer.compose(tokens, true, length)
    if (document === undefined) throw new Error('the composer made no document')
    return stoppedAt === undefined ? { document } : { document, stoppedAt }
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function tokensOf(lexemes: readonly string[], parser: Parser): { readonly tokens: readonly CST.Token[]; readonly stoppedAt?: number } {
  const tokens: CST.Token[] = []
  for (const lexeme of lexemes) {
    for (const token of parser.next(lexeme)) tokens.push(token)
    if (parser.stack.length <= deepestParse) continue
    const stoppedAt = parser.offset
    for (const token of parser.end()) tokens.push(token)
    return { tokens, stoppedAt }
  }
  for (const token of parser.end()) tokens.push(token)
  return { tokens }
}

/** The tree without its places, as an option schema reads it. `__proto__` is a key like any other here. */
export function plain(tree: Tree): unknown {
  switch (tree.kind) {
    case 'scalar':
      return tree.value
    case 'list':
      return tree.items.map(plain)
    case 'map':
      return Object.fromEntries(tree.entries.map(({ key, value }) => [key, plain(value)]))
  }
}

/** Where the value at a path of keys and indexes stands; the nearest place around it when the path leads nowhere. */
export function placeOf(tree: Tree, path: readonly PropertyKey[]): Place {
  const [step, ...rest] = path
  if (step === undefined) return tree.at
  if (tree.kind === 'list' && typeof step === 'number') {
    const item = tree.items[step]
    return item === undefined ? tree.at : placeOf(item, rest)
  }
  const entry = tree.kind === 'map' ? tree.entries.find(({ key }) => key === step) : undefined
  return entry === undefined ? tree.at : placeOf(entry.value, rest)
}

const placer =
  (lines: LineCounter) =>
  (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }

function build(node: Node | null, around: Place, place: (offset: number) => Place, report: Report): Tree | undefined {
  if (node === null) return { kind: 'scalar', at: around, value: null }
  const at = node.range ? place(node.range[0]) : around
  if (isScalar(node)) return { kind: 'scalar', at, value: scalar(node.value) }
  if (isSeq<Node | null>(node)) return { kind: 'list', at, items: node.items.flatMap((item) => build(item, at, place, report) ?? []) }
  if (isMap<Node | null, Node | null>(node)) return { kind: 'map', at, entries: buildEntries(node.items, at, place, report) }
  throw new Error('an alias stands where none was let in')
}

function buildEntries(
  items: readonly { key: Node | null; value: Node | null }[],
  around: Place,
  place: (offset: number) => Place,
  report: Report,
): Entry[] {
  const seen = new Map<string, number>()
  return items.flatMap((pair): Entry[] => {
    const at = pair.key?.range ? place(pair.key.range[0]) : around
    if (!isScalar(pair.key) || pair.key.value === null || typeof pair.key.value === 'object') {
      report(at, 'a key must be a word')
      return []
    }
    const key = String(pair.key.value)
    const first = seen.get(key)
    if (first !== undefined) report(at, `${quote(key)} is written twice`, `it stands already in line ${first}`)
    seen.set(key, first ?? at.line)
    const value = build(pair.value, at, place, report)
    return value === undefined ? [] : [{ key, at, value }]
  })
}

/** YAML 1.2 core has text, numbers, booleans and null; a big integer counts as a number. */
const scalar = (value: unknown): string | number | boolean | null =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || value === null
    ? value
    : typeof value === 'bigint'
      ? Number(value)
      : String(value)

const lowerFirst = (text: string): string => `${text.charAt(0).toLowerCase()}${text.slice(1)}`
