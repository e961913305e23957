/** The plan frozen with a recipient, under the queue's MAC key: a plan altered in the database is not walked. */
import type { Plan, StepResult } from '../mail/plan.ts'
import type { Keyring } from '../seal/keyring.ts'
import type { Waits } from './schedule.ts'

export type Frozen = {
  readonly plan: Plan
  readonly earlier: readonly StepResult[]
  /** How long each kind of trouble has lasted at the step it stands at. */
  readonly waits?: Waits
  /** Its sender was told that it is held, and is not told again. */
  readonly toldHeld?: boolean
}

/** The text kept with the recipient; it vouches for the step it stands at as well. */
export function sealFrozen(keyring: Keyring, recipient: string, step: number, frozen: Frozen): string {
  const text = JSON.stringify(bare(frozen))
  // The same text with one field more: written once, it need not be written again for that.
  return `${text.slice(0, -1)},"mac":"${macOf(keyring, recipient, step, text).toString('base64')}"}`
}

/** The plan and earlier results in a text of `sealFrozen`, without asking whether it was altered; undefined when it is no such text at all. */
export const readFrozen = (text: string): Frozen | undefined => readText(text)

/** Whether this is what was sealed for this recipient at this step. */
export function isFrozen(keyring: Keyring, recipient: string, step: number, text: string): boolean {
  const found = readText(text)
  if (typeof found?.mac !== 'string') return false
  return macOf(keyring, recipient, step, JSON.stringify(bare(found))).equals(Buffer.from(found.mac, 'base64'))
}

/** Rows can be written by others: one that is no JSON must not stop the rest of the queue. */
function readText(text: string): (Frozen & { readonly mac?: unknown }) | undefined {
  try {
    const found = JSON.parse(text) as (Frozen & { readonly mac?: unknown }) | null
    return Array.isArray(found?.plan?.steps) && Array.isArray(found.earlier) ? found : undefined
  } catch {
    return undefined
  }
}

const macOf = (keyring: Keyring, recipient: string, step: number, text: string): Buffer =>
  keyring.mac('plan', recipient, String(step), text)

/** Its fields in one order, so that the text is the same whoever built it. */
const bare = ({ plan, earlier, waits, toldHeld }: Frozen): Frozen => ({
  plan,
  earlier,
  ...(waits !== undefined && { waits }),
  ...(toldHeld === true && { toldHeld }),
})
