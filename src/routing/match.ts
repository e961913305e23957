/** Judges one condition over the facts of one recipient, and says why in words. */
import { domainOf } from '../mail/address.ts'
import type { Patterns } from './patterns.ts'
import { wordFor } from './patterns.ts'
import type { PlanFacts } from './plan.ts'
import type { AddressCondition, Condition, Trait } from './policy.ts'
import { oneOf } from './problem.ts'

/** `because` is what decided: the first part that failed, or the parts that held. It names addresses, tags and traits, never the subject. */
export type Verdict = { readonly matched: boolean; readonly because: string }

export function judge(condition: Condition, facts: PlanFacts): Verdict {
  switch (condition.kind) {
    case 'from':
    case 'header-from':
    case 'to':
      return judgeAddress(condition.kind, condition.patterns, facts)
    case 'subject-tag':
      return judgeTags(condition.tags, facts)
    case 'is':
      return judgeTraits(condition.traits, facts)
    case 'all':
      return judgeAll(condition.conditions, facts)
    case 'any':
      return judgeAny(condition.conditions, facts)
    case 'not': {
      const { matched, because } = judge(condition.condition, facts)
      return { matched: !matched, because }
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

function judgeTraits(traits: readonly Trait[], { mail }: PlanFacts): Verdict {
  const has = { 'auto-submitted': mail.autoSubmitted, dsn: mail.dsn, encrypted: mail.encrypted } satisfies Record<Trait, boolean>
  const found = traits.find((trait) => has[trait])
  return found === undefined ? { matched: false, because: `mail is not ${oneOf(traits)}` } : { matched: true, because: `mail is ${found}` }
}

function judgeAll(conditions: readonly Condition[], facts: PlanFacts): Verdict {
  const held: string[] = []
  for (const condition of conditions) {
    const verdict = judge(condition, facts)
    if (!verdict.matched) return verdict
    held.push(verdict.because)
  }
  return { matched: true, because: joined(held) }
}

function judgeAny(conditions: readonly Condition[], facts: PlanFacts): Verdict {
  const missed: string[] = []
  for (const condition of conditions) {
    const verdict = judge(condition, facts)
    if (verdict.matched) return verdict
    missed.push(verdict.because)
  }
  return { matched: false, because: joined(missed) }
}

function joined(reasons: readonly string[]): string {
  const different = [...new Set(reasons)]
  return different.length > 4 ? `${different.slice(0, 3).join(', ')} and ${different.length - 3} more` : different.join(', ')
}
