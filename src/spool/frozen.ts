/** The plan frozen with a recipient, under the queue's MAC key: a plan altered in the database is not walked. */
import type { Plan, StepResult } from '../mail/plan.ts'
import type { Keyring } from '../seal/keyring.ts'

export type Frozen = { readonly plan: Plan; readonly earlier: readonly StepResult[] }

/** The text kept with the recipient; it vouches for the step it stands at as well. */
export function sealFrozen(keyring: Keyring, recipient: string, step: number, frozen: Frozen): string {
  const { plan, earlier } = frozen
  return JSON.stringify({ plan, earlier, mac: macOf(keyring, recipient, step, { plan, earlier }).toString('base64') })
}

/** The plan and earlier results in a text of `sealFrozen`, without asking whether it was altered. */
export const readFrozen = (text: string): Frozen => JSON.parse(text) as Frozen

/** Whether this is what was sealed for this recipient at this step. */
export function isFrozen(keyring: Keyring, recipient: string, step: number, text: string): boolean {
  const { plan, earlier, mac } = JSON.parse(text) as Frozen & { mac?: string }
  return mac !== undefined && macOf(keyring, recipient, step, { plan, earlier }).equals(Buffer.from(mac, 'base64'))
}

const macOf = (keyring: Keyring, recipient: string, step: number, frozen: Frozen): Buffer =>
  keyring.mac('plan', recipient, String(step), JSON.stringify(frozen))
