/** Judges one condition over the facts of one recipient, and says why in words. */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { domainOf } from '../mail/address.ts'
import { thresholdOf } from './detectors.ts'
import type { PlanFacts } from './facts.ts'
import type { Patterns } from './patterns.ts'
import { wordFor } from './patterns.ts'
import type { AddressCondition, Condition, HeaderTest, Policy, Trait } from './policy.ts'
import { oneOf } from './problem.ts'

/**
 * `because` is what decided: the first part that failed, or the parts that held. It names addresses, tags, traits and detectors, never the
 * subject or a word of the content. `unknown`: the facts do not tell; `missing` names what they lack.
 */
export type Verdict = { readonly matched: boolean | 'unknown'; readonly because: string; readonly missing?: readonly string[] }

const unknown = (what: string): Verdict => ({ matched: 'unknown', because: `${what} is not known`, missing: [what] })

export function judge(condition: Condition, facts: PlanFacts, policy: Pick<Policy, 'detectors'>): Verdict {
  switch (condition.kind) {
    case 'from':
    case 'header-from':
    case 'to':
      return judgeAddress(condition.kind, condition.patterns, facts)
    case 'subject-tag':
      return judgeTags(condition.tags, facts)
    case 'is':
      return judgeTraits(condition.traits, facts)
    case 'header':
      return judgeHeader(condition.name, condition.test, facts)
    case 'size':
      return judgeSize(condition, facts)
    case 'detect':
      return judgeDetectors(condition.detectors, facts, policy)
    case 'authenticated-as':
      return judgeName(condition.names, facts)
    case 'client':
      return judgeClient(condition.networks, facts)
    case 'all':
      return judgeAll(condition.conditions, facts, policy)
    case 'any':
      return judgeAny(condition.conditions, facts, policy)
    case 'not': {
      const verdict = judge(condition.condition, facts, policy)
      return verdict.matched === 'unknown' ? verdict : { ...verdict, matched: !verdict.matched }
    }
  }
}

function judgeAddress(kind: AddressCondition, patterns: Patterns, facts: PlanFacts): Verdict {
  const address = addressOf(kind, facts)
  if (address === '') return { matched: false, because: `${kind} is unknown` }
  const word = wordFor(patterns, address)
  const domain = domainOf(address)
  // The shortest true answer: the domain, unless the rule distinguishes addresses.
  const shown = word === address || patterns.lists.some((list) => list.address.size > 0) ? address : domain
  if (word === undefined) return { matched: false, because: `${kind} is ${shown}` }
  return { matched: true, because: `${kind} is ${shown}${word === shown ? '' : ` (${word})`}` }
}

/** A null reverse-path (RFC 5321 §4.5.5) says nothing of who sent it: then `from` means the header From. */
function addressOf(kind: AddressCondition, { reversePath, recipient, mail }: PlanFacts): string {
  switch (kind) {
    case 'from':
      return reversePath === '' ? mail.headerFrom : reversePath
    case 'header-from':
      return mail.headerFrom
    case 'to':
      return recipient
  }
}

function judgeTags(tags: readonly string[], { mail }: PlanFacts): Verdict {
  const found = tags.find((tag) => mail.subjectTags.some((present) => present.toLowerCase() === tag))
  if (found !== undefined) return { matched: true, because: `subject has the tag [${found}]` }
  return { matched: false, because: `subject has no tag ${oneOf(tags.map((tag) => `[${tag}]`))}` }
}

function judgeTraits(wanted: readonly Trait[], { mail, reversePath }: PlanFacts): Verdict {
  const has: Record<Trait, boolean | undefined> = {
    'auto-submitted': mail.autoSubmitted,
    dsn: mail.dsn,
    calendar: mail.calendar,
    signed: mail.signed,
    encrypted: mail.encrypted,
    'rights-managed': mail.rightsManaged,
    forwarded: isRewritten(reversePath) ? true : mail.forwarded,
  }
  const found = wanted.find((trait) => has[trait])
  if (found !== undefined) return { matched: true, because: `mail is ${found}` }
  const open = wanted.filter((trait) => has[trait] === undefined)
  return open.length > 0 ? unknown(`is: ${oneOf(open)}`) : { matched: false, because: `mail is not ${oneOf(wanted)}` }
}

/** SRS: a forwarder has put its own address before the sender's. */
const isRewritten = (reversePath: string): boolean => /^srs[01][=+-]/i.test(reversePath)

function judgeHeader(name: string, test: HeaderTest, { headers }: PlanFacts): Verdict {
  const values = headers?.[name.toLowerCase()]
  if (values === undefined) return unknown(`header ${name}`)
  if (test.kind === 'present') {
    const present = values.length > 0
    return { matched: present === test.present, because: `header ${name} is ${present ? 'there' : 'not there'}` }
  }
  const plain = plainTexts(values)
  const found = test.values.find((wanted) => {
    const text = plainText(wanted)
    return plain.some((value) => (test.kind === 'equals' ? value === text : value.includes(text)))
  })
  const verb = test.kind === 'equals' ? 'is' : 'contains'
  if (found !== undefined) return { matched: true, because: `header ${name} ${verb} ${found}` }
  if (values.length === 0) return { matched: false, because: `header ${name} is not there` }
  return { matched: false, because: `header ${name} ${verb} not ${oneOf(test.values.slice(0, 4))}` }
}

const plains = new WeakMap<readonly string[], readonly string[]>()

/** Once a message: its header may be large, and rules may ask for thousands of values. */
function plainTexts(values: readonly string[]): readonly string[] {
  const known = plains.get(values) ?? values.map(plainText)
  plains.set(values, known)
  return known
}

const plainText = (text: string): string => text.trim().replace(/\s+/g, ' ').toLowerCase()

function judgeSize({ over, under }: { over: number | undefined; under: number | undefined }, { size }: PlanFacts): Verdict {
  if (size === undefined) return unknown('size')
  const matched = (over === undefined || size > over) && (under === undefined || size < under)
  return { matched, because: `size is ${size} bytes` }
}

/** What could not be looked into counts as found, on either side of a `not`: in doubt the stricter way is meant. */
function judgeDetectors(names: readonly string[], { detected }: PlanFacts, { detectors }: Pick<Policy, 'detectors'>): Verdict {
  if (detected === 'unreadable') return { matched: true, because: 'the content could not be looked into, which counts as found' }
  const finds = (name: string) => (detected !== undefined && Object.hasOwn(detected, name) ? (detected[name] ?? 0) : undefined)
  const found = names.find((name) => (finds(name) ?? 0) >= thresholdOf(name, detectors))
  if (found !== undefined) return { matched: true, because: `${found} was found (${finds(found)})` }
  if (names.some((name) => finds(name) === undefined)) return unknown('detect')
  return { matched: false, because: `no ${oneOf(names)} was found` }
}

function judgeName(names: readonly string[], { client }: PlanFacts): Verdict {
  if (client === undefined) return unknown('authenticated-as')
  const name = client.authenticatedAs
  if (name === null) return { matched: false, because: 'the client did not authenticate' }
  return { matched: names.includes(name.toLowerCase()), because: `the client authenticated as ${name}` }
}

function judgeClient(networks: readonly string[], { client }: PlanFacts): Verdict {
  if (client === undefined) return unknown('client')
  const found = networks.find((network) => isWithin(client.address, network))
  if (found !== undefined) return { matched: true, because: `the client is ${client.address} (${found})` }
  return { matched: false, because: `the client is ${client.address === '' ? 'unknown' : client.address}` }
}

function isWithin(address: string, network: string): boolean {
  if (isIP(address) === 0) return false
  const parsed = ipaddr.process(address) // an IPv4 client of a dual-stack listener comes as ::ffff:192.0.2.1
  const range = ipaddr.parseCIDR(network)
  return parsed.kind() === range[0].kind() && parsed.match(range)
}

function judgeAll(conditions: readonly Condition[], facts: PlanFacts, policy: Pick<Policy, 'detectors'>): Verdict {
  const verdicts: Verdict[] = []
  for (const condition of conditions) {
    const verdict = judge(condition, facts, policy)
    if (verdict.matched === false) return verdict
    verdicts.push(verdict)
  }
  return open(verdicts) ?? { matched: true, because: joined(verdicts.map(({ because }) => because)) }
}

function judgeAny(conditions: readonly Condition[], facts: PlanFacts, policy: Pick<Policy, 'detectors'>): Verdict {
  const verdicts: Verdict[] = []
  for (const condition of conditions) {
    const verdict = judge(condition, facts, policy)
    if (verdict.matched === true) return verdict
    verdicts.push(verdict)
  }
  return open(verdicts) ?? { matched: false, because: joined(verdicts.map(({ because }) => because)) }
}

/** One part that is not known leaves the whole unknown. */
function open(verdicts: readonly Verdict[]): Verdict | undefined {
  const unknowns = verdicts.filter(({ matched }) => matched === 'unknown')
  if (unknowns.length === 0) return undefined
  const missing = [...new Set(unknowns.flatMap((verdict) => verdict.missing ?? []))]
  return { matched: 'unknown', because: `${oneOf(missing, 'and')} ${missing.length === 1 ? 'is' : 'are'} not known`, missing }
}

function joined(reasons: readonly string[]): string {
  const different = [...new Set(reasons)]
  return different.length > 4 ? `${different.slice(0, 3).join(', ')} and ${different.length - 3} more` : different.join(', ')
}
