/** The small readers of the policy language: mappings with known keys, one-or-many lists, text. */
import { oneOf, quote, type Report, reportUnknown } from './problem.ts'
import type { Entry, Tree } from './tree.ts'

/** A place of the language: how messages call it, the keys it knows, and those that it will know in a later version. */
export type Shape = { readonly what: string; readonly words: readonly string[]; readonly later?: readonly string[] }

/** The known entries of a mapping, in the order written; undefined when it is no mapping or has a key that is not of the language. */
export function fields(tree: Tree, { what, words, later = [] }: Shape, report: Report): ReadonlyMap<string, Entry> | undefined {
  if (tree.kind !== 'map') {
    report(tree.at, `expected a mapping of ${oneOf(words)}, found ${described(tree)}`)
    return undefined
  }
  const known = tree.entries.filter(({ key, at }) => {
    if (words.includes(key)) return true
    if (later.includes(key)) report(at, `${key} is not available in this version`, `available here: ${oneOf(words, 'and')}`)
    else reportUnknown(report, at, `${what} key`, key, words)
    return false
  })
  return known.length === tree.entries.length ? new Map(known.map((entry) => [entry.key, entry])) : undefined
}

/** A list as it is, anything else as a list of one. */
export const list = (tree: Tree): readonly Tree[] => (tree.kind === 'list' ? tree.items : [tree])

/** Text that is not empty, without spaces around it. */
export function text(tree: Tree, expected: string, report: Report): string | undefined {
  if (tree.kind === 'scalar' && typeof tree.value === 'string' && tree.value.trim() !== '') return tree.value.trim()
  const wordlike = tree.kind === 'scalar' && (typeof tree.value === 'number' || typeof tree.value === 'boolean')
  report(tree.at, `expected ${expected}, found ${described(tree)}`, wordlike ? 'put it in quotes if it is meant as a word' : undefined)
  return undefined
}

/** Names of rules and groups: what can be read aloud and stands on one line. */
export function isName(word: string): boolean {
  return /^[\p{L}\p{N}](?:[\p{L}\p{N} ._-]{0,62}[\p{L}\p{N}._-])?$/u.test(word)
}

export function described(tree: Tree): string {
  switch (tree.kind) {
    case 'list':
      return 'a list'
    case 'map':
      return 'a mapping'
    case 'scalar':
      if (tree.value === null || tree.value === '') return 'nothing'
      return typeof tree.value === 'string' ? quote(tree.value) : `the ${typeof tree.value} ${tree.value}`
  }
}
