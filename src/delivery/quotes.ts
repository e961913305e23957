/** Takes out of an outcome what a host quoted from a mail of ours: the link of a letter, or a code. */
import type { Evidence, Fact, Outcome } from '../mail/outcome.ts'

/** The secret of a link (32 characters, also within an escaped URL); codes as shown: `4829 1306`, `K7QM 2RTX 9D4F`. */
const secrets = [/[0-9a-z]{32,}/gi, /(?<!\d)\d{4} ?\d{4}(?!\d)/g, /\b[0-9A-Z]{4} ?[0-9A-Z]{4} ?[0-9A-Z]{4}\b/g]
const blackOut = (text: string): string => secrets.reduce((told, secret) => told.replace(secret, '•••'), text)

/**
 * The same ending with such quotes blacked out. A filter that refuses a notice often names the link in it: that must come to rest neither in
 * the queue nor in records, reports or the log.
 */
export function withoutQuotes<T extends { readonly outcome: Outcome }>(ending: T): T {
  const { outcome } = ending
  const { reply } = outcome.evidence
  const evidence: Evidence = {
    ...outcome.evidence,
    ...(reply !== undefined && { reply: quiet(reply) }),
    ...(outcome.evidence.candidates !== undefined && { candidates: quiet(outcome.evidence.candidates) }),
  }
  return { ...ending, outcome: { ...outcome, text: blackOut(outcome.text), evidence } }
}

/** The texts and replies in a fact. */
function quiet(fact: Fact): Fact {
  if (typeof fact === 'string') return blackOut(fact)
  if (fact === null || typeof fact !== 'object') return fact
  if (Array.isArray(fact)) return fact.map(quiet)
  return Object.fromEntries(Object.entries(fact).map(([name, one]) => [name, name === 'text' || name === 'reply' ? quiet(one) : one]))
}
