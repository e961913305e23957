/** YAML as a tree in which every value knows its line and column; whatever could hurt the parser is refused before it. */
import { CST, isMap, isScalar, isSeq, Lexer, LineCounter, type Node, parseDocument } from 'yaml'
import { type Place, type Problem, problemList, quote, type Report } from './problem.ts'

export type Tree =
  | { readonly kind: 'scalar'; readonly at: Place; readonly value: string | number | boolean | null }
  | { readonly kind: 'list'; readonly at: Place; readonly items: readonly Tree[] }
  | { readonly kind: 'map'; readonly at: Place; readonly entries: readonly Entry[] }
export type Entry = { readonly key: string; readonly at: Place; readonly value: Tree }

export const largestPolicy = 1024 * 1024
const deepestFlow = 32
const widestIndent = 100
/** Words and the signs between them: 1 MiB of the shortest rules and tests that say something has some 320,000, and each costs microseconds. */
const mostParts = 350_000

/**
 * Read one YAML 1.2 document. Aliases, anchors, tags, directives, several documents, keys that are not words and keys written twice
 * are mistakes: a policy needs none of them, and the first is how a small text becomes a huge value.
 */
export function readTree(
  text: string,
): { readonly kind: 'tree'; readonly root: Tree } | { readonly kind: 'errors'; readonly problems: readonly Problem[] } {
  const { problems, report } = problemList()
  const size = Buffer.byteLength(text)
  if (size > largestPolicy)
    report(
      { line: 1, column: 1 },
      `the policy has ${size} bytes; at most ${largestPolicy} (1 MiB) are read`,
      'a group can name *.domain for all its subdomains',
    )
  else checkShape(text, report)
  if (problems.length > 0) return { kind: 'errors', problems }

  const lines = new LineCounter()
  // uniqueKeys compares every key with every other: quadratic, so we look for doubles ourselves.
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false, version: '1.2', merge: false })
  const place = placer(lines)
  for (const { pos, message } of [...document.errors, ...document.warnings]) report(place(pos[0]), `not valid YAML: ${lowerFirst(message)}`)
  if (document.directives?.yaml.explicit === true)
    report({ line: 1, column: 1 }, '%YAML directives are not used in a policy', 'remove the line')
  const root = problems.length === 0 ? build(document.contents, { line: 1, column: 1 }, place, report) : undefined
  return root === undefined || problems.length > 0 ? { kind: 'errors', problems } : { kind: 'tree', root }
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

/**
 * The parser recurses with the nesting of the text, and where its stack ends inside a regular expression the whole process ends. Nesting
 * in brackets is counted; nesting by indentation needs a column a level, so the column of its indicators bounds it. What is nothing but signs
 * would keep the parser busy for seconds.
 */
function checkShape(text: string, report: Report): void {
  let [line, column, depth, parts] = [1, 1, 0, 0]
  for (const token of new Lexer().lex(text)) {
    const type = CST.tokenType(token)
    if (type === 'flow-seq-start' || type === 'flow-map-start') depth += 1
    if (type === 'flow-seq-end' || type === 'flow-map-end') depth = Math.max(0, depth - 1)
    const indicator = type === 'seq-item-ind' || type === 'explicit-key-ind' || type === 'map-value-ind'
    if (depth > deepestFlow || (depth === 0 && indicator && column > widestIndent))
      return report({ line, column }, 'nested too deeply for a policy')
    if ((indicator || type === 'scalar' || type === 'comma') && ++parts > mostParts)
      return report(
        { line, column },
        `more than ${mostParts} keys, values and signs: too many for a policy`,
        'groups make one rule of many',
      )
    if (type === 'doc-mode' || type === 'flow-error-end' || token === CST.SCALAR) continue
    const broken = token.lastIndexOf('\n')
    if (broken < 0) column += token.length
    else {
      for (let at = token.indexOf('\n'); at >= 0; at = token.indexOf('\n', at + 1)) line += 1
      column = token.length - broken
    }
  }
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
  if ('anchor' in node && node.anchor !== undefined)
    report(at, `anchors (&${node.anchor}) are not used in a policy`, 'write the value out, or name a group')
  if (node.tag !== undefined) report(at, `tags (${quote(node.tag)}) are not used in a policy`, 'remove it')
  if (isScalar(node)) return { kind: 'scalar', at, value: scalar(node.value) }
  if (isSeq<Node | null>(node)) return { kind: 'list', at, items: node.items.flatMap((item) => build(item, at, place, report) ?? []) }
  if (isMap<Node | null, Node | null>(node)) return { kind: 'map', at, entries: buildEntries(node.items, at, place, report) }
  report(at, 'aliases (*name) are not used in a policy', 'write the value out, or name a group')
  return undefined
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
