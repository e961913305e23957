/** What a step asks of a recipient's side, in words: what can change although mail goes the same way. Pure. */
import type { Step } from '../mail/plan.ts'
import { asked, type Proofs } from '../methods/escrow/proof.ts'

/** One thing that a step asks, by its name in the language. */
export type Term = { readonly what: string; readonly from: string; readonly to: string }

/** How two steps of one method differ, with the settings in the place of what a rule does not say. How long is waited changes no way. */
export function changedTerms(before: Step, next: Step, proofs: Proofs): readonly Term[] {
  if (before.method !== next.method) return []
  const [old, now] = [termsOf(before, proofs), termsOf(next, proofs)]
  return [...new Set([...Object.keys(old), ...Object.keys(now)])]
    .filter((name) => name !== 'patience' && JSON.stringify(old[name]) !== JSON.stringify(now[name]))
    .map((name) => ({ what: `${before.method} ${name}`, from: written(old[name]), to: written(now[name]) }))
}

const termsOf = ({ method, options }: Step, proofs: Proofs): Step['options'] =>
  method === 'escrow' ? { ...options, ...asked(options, proofs) } : options

const day = 86_400_000

const written = (value: unknown): string => {
  if (value === undefined) return 'as usual'
  if (Array.isArray(value)) return value.map(String).join(', ')
  // The only number there is: how long a letter is kept, milliseconds.
  return typeof value === 'number' ? (value % day === 0 ? `${value / day}d` : `${value / 3_600_000}h`) : String(value)
}
