/** Lists of addresses, domains and *.domains: how rules name senders and recipients. */
import { canonicalDomain, domainOf, parseAddress } from '../mail/address.ts'

/** What a pattern names: one address, one domain, or every name below a domain (not the domain itself, as in certificates). */
export type Pattern = { readonly kind: 'address' | 'domain' | 'below'; readonly value: string }

/** Patterns by kind, each with the word of the rule that brought it (`lab.example`, `group:banks`); looking one up does not depend on how many there are. */
export type Patterns = {
  readonly words: readonly string[]
  readonly address: ReadonlyMap<string, string>
  readonly domain: ReadonlyMap<string, string>
  readonly below: ReadonlyMap<string, string>
}

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
export function collectPatterns(named: readonly { readonly word: string; readonly patterns: readonly Pattern[] }[]): Patterns {
  const maps = { address: new Map<string, string>(), domain: new Map<string, string>(), below: new Map<string, string>() }
  for (const { word, patterns } of named) for (const { kind, value } of patterns) if (!maps[kind].has(value)) maps[kind].set(value, word)
  return { words: named.map(({ word }) => word), ...maps }
}

/** Every pattern of a list, as readPattern gave them. */
export const patternsIn = ({ address, domain, below }: Patterns): Pattern[] => [
  ...[...address.keys()].map((value) => ({ kind: 'address', value }) as const),
  ...[...domain.keys()].map((value) => ({ kind: 'domain', value }) as const),
  ...[...below.keys()].map((value) => ({ kind: 'below', value }) as const),
]

/** The word under which a canonical address is in the list; undefined when it is not. */
export function wordFor(patterns: Patterns, address: string): string | undefined {
  const domain = domainOf(address)
  return patterns.address.get(folded(address)) ?? patterns.domain.get(domain) ?? wordBelow(patterns, domain)
}

/** The word under which a whole pattern is in the list: everything that it names is named there too. */
export function wordForPattern(patterns: Patterns, { kind, value }: Pattern): string | undefined {
  if (kind === 'address') return wordFor(patterns, value)
  if (kind === 'domain') return patterns.domain.get(value) ?? wordBelow(patterns, value)
  return patterns.below.get(value) ?? wordBelow(patterns, value)
}

function wordBelow({ below }: Patterns, domain: string): string | undefined {
  for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1)) {
    const word = below.get(domain.slice(dot + 1))
    if (word !== undefined) return word
  }
  return undefined
}

/** Rules mean people: unlike RFC 5321 §2.4, HR@ and hr@ are the same here, so that a capital letter is no way around a rule. */
const folded = (address: string): string => address.normalize('NFC').toLowerCase()
