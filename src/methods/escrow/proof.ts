/** What a letter asks of its reader, by its rule and by why it is a letter at all: pure, the same for delivery, tests and forecasts. */
import type { Settings } from '../../ops/settings.ts'
import { type Proof, proofNamed, type ruleProofs } from './binding.ts'
import { attackSign, labelFor } from './label.ts'

/** The settings that count where the rule does not say. */
export type Proofs = Pick<Settings, 'escrow.proof' | 'escrow.onDowngrade' | 'escrow.onClearPath'>

export const onDowngrade = ['second-factor', 'hold'] as const
export const onClearPath = ['code', 'second-factor'] as const

export type ProofOptions = {
  readonly proof?: (typeof ruleProofs)[number] | undefined
  readonly 'on-downgrade'?: (typeof onDowngrade)[number] | undefined
  readonly 'on-clear-path'?: (typeof onClearPath)[number] | undefined
}

/**
 * `person`: no letter is made, for what is asked is more than this version has; `asked` says what, `backTo` is the step that saw the reason:
 * released, the mail is tried again from there.
 */
export type Demand =
  | { readonly kind: 'proof'; readonly proof: Exclude<Proof, 'second-factor'> }
  | {
      readonly kind: 'person'
      readonly asked: 'second-factor' | 'hold'
      readonly because: 'downgrade' | 'clear-path' | 'rule'
      readonly backTo: number
    }

/** What the rule asks, with the settings in the place of what it does not say: this is frozen with the plan. */
export const asked = (options: ProofOptions, settings: Proofs): Required<{ [Name in keyof ProofOptions]: string }> => ({
  proof: options.proof ?? settings['escrow.proof'],
  'on-downgrade': options['on-downgrade'] ?? settings['escrow.onDowngrade'],
  'on-clear-path': options['on-clear-path'] ?? settings['escrow.onClearPath'],
})

/** Why it fell back sets the proof (spec escrow): whoever strips TLS also reads the notice and the code. */
export function demandFor(
  options: ProofOptions,
  earlier: readonly { readonly method: string; readonly reason: string }[],
  settings: Proofs,
): Demand {
  const { proof: written, 'on-downgrade': downgrade, 'on-clear-path': clearPath } = asked(options, settings)
  const sign = attackSign(earlier)
  if (sign !== undefined)
    return {
      kind: 'person',
      asked: downgrade === 'hold' ? 'hold' : 'second-factor',
      because: 'downgrade',
      backTo: earlier.indexOf(sign),
    }
  const proof = proofNamed(written)
  if (proof === 'second-factor') return { kind: 'person', asked: proof, because: 'rule', backTo: 0 }
  const clear = earlier.findIndex((step) => ['clear-path', 'broken-tls'].includes(labelFor([step])))
  if (clear >= 0 && clearPath !== 'code') return { kind: 'person', asked: 'second-factor', because: 'clear-path', backTo: clear }
  return { kind: 'proof', proof }
}
