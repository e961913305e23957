/** Lists of addresses, domains and *.domains: how rules name senders and recipients. */
import { canonicalDomain, domainOf, parseAddress } from '../mail/address.ts'

/** What a pattern names: one address, one domain, or every name below a domain (not the domain itself, as in certificates). */
export type Pattern = { readonly kind: 'address' | 'domain' | 'below'; readonly value: string }

/** Patterns by kind, each with the word of the rule that brought it (`lab.example`, `group:banks`). */
export type PatternList = { readonly [kind in Pattern['kind']]: ReadonlyMap<string, string> }

/** What one condition names: its own patterns, and groups by reference, so that a thousand rules may name one large group. */
export type Patterns = { readonly words: readonly string[]; readonly lists: readonly PatternList[] }

/** Read `max@lab.example`, `lab.example` or `*.lab.example`; undefined when it is none of them. */
export function readPattern(text: string): Pattern | undefined {
  if (text.includes('@')) {
    // A star is a legal character of a local part, but nobody means it so.
    const address = text.includes('*') ? undefined : parseAddress(text)
    return address === undefined ? undefined : { kind: 'address', value: folded(address) }
  }
  const below = text.startsWith('*.')
  const domain = canonicalDomain(below ? text.slice(2) : text)
  return domain === undefined || (below && domain.startsWith('[')) ? undefined : { kind: below ? 'below' : 'domain', value: domain }
}

/** Patterns under the words that brought them; where two words name the same, the first is kept. */
export function collectPatterns(named: readonly { readonly word: string; readonly pattern: Pattern }[]): PatternList {
  const list = { address: new Map<string, string>(), domain: new Map<string, string>(), below: new Map<string, string>() }
  for (const { word, pattern } of named) if (!list[pattern.kind].has(pattern.value)) list[pattern.kind].set(pattern.value, word)
  const kept = (map: Map<string, string>): ReadonlyMap<string, string> => (map.size === 0 ? none : map)
  return { address: kept(list.address), domain: kept(list.domain), below: kept(list.below) }
}

/** One for all: a policy of thousands of rules is handed from thread to thread. */
const none: ReadonlyMap<string, string> = new Map()

/** The word under which a canonical address is in one of the lists; undefined when it is in none. */
export function wordFor({ lists }: Patterns, address: string): string | undefined {
  const [person, domain] = [folded(address), domainOf(address)]
  return firstWord(lists, (list) => list.address.get(person) ?? list.domain.get(domain) ?? wordBelow(list, domain))
}

/** Comparisons that may still be made; one that is not made counts as no. */
export type Effort = { left: number }

/** True when everything that `narrow` names is named by `wide` too. */
export const namesAllOf = (wide: Patterns, narrow: Patterns, effort: Effort): boolean =>
  narrow.lists.every((list) => wide.lists.includes(list) || namesList(wide, list, effort))

function namesList(wide: Patterns, list: PatternList, effort: Effort): boolean {
  for (const kind of kinds)
    for (const value of list[kind].keys()) {
      effort.left -= wide.lists.length
      if (effort.left < 0 || !namesPattern(wide, { kind, value })) return false
    }
  return true
}

const kinds = ['address', 'domain', 'below'] as const

function namesPattern(wide: Patterns, { kind, value }: Pattern): boolean {
  if (kind === 'address') return wordFor(wide, value) !== undefined
  return firstWord(wide.lists, (list) => list[kind].get(value) ?? wordBelow(list, value)) !== undefined
}

function firstWord(lists: readonly PatternList[], look: (list: PatternList) => string | undefined): string | undefined {
  for (const list of lists) {
    const word = look(list)
    if (word !== undefined) return word
  }
  return undefined
}

function wordBelow({ below }: PatternList, domain: string): string | undefined {
  for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1)) {
    const word = below.get(domain.slice(dot + 1))
    if (word !== undefined) return word
  }
  return undefined
}

/** Rules mean people: unlike RFC 5321 §2.4, HR@ and hr@ are the same here, so that a capital letter is no way around a rule. */
const folded = (address: string): string => address.normalize('NFC').toLowerCase()
