/** Tells what would become of a message: walks the steps of a plan over what is known of a recipient's side. Pure. */
import type { Reason } from '../mail/outcome.ts'
import type { Step } from '../mail/plan.ts'
import { demandFor, type Proofs } from '../methods/escrow/proof.ts'
import { bounce } from './policy.ts'

/** What a channel would do for a step that sends: what is known of the recipient's hosts, or assumed of them. */
export type Side = {
  /** A tls step with these options (as parsed). */
  readonly tls: (options: Step['options']) => Met
  /** An opportunistic step. */
  readonly opportunistic: () => Met
  /** Steps that encrypt, with these options: whether there is a key, and a host that takes the mail. */
  readonly pgp: (options: Step['options']) => Met
  readonly smime: (options: Step['options']) => Met
  /** Its sender encrypted the mail already. */
  readonly encrypted: boolean
}

export type Met =
  | { readonly kind: 'served'; readonly assurance: string | null; readonly clear: boolean }
  /** `after`: how long it would have been tried, as in `, after 4 hours of trying`; may be empty. */
  | { readonly kind: 'refused'; readonly reason: Reason; readonly after: string }
  | { readonly kind: 'waits' | 'failed'; readonly reason: Reason }
  /** It cannot be told: `missing` is what would have to be known, in a few words. */
  | { readonly kind: 'unknown'; readonly missing: string }

/** What a step that encrypts meets, as far as keys go. */
export const keyed = (method: 'pgp' | 'smime', known: boolean): Met =>
  known
    ? { kind: 'served', assurance: null, clear: false }
    : { kind: 'refused', reason: method === 'pgp' ? 'no-key' : 'no-certificate', after: '' }

/** Which step would serve, and how. */
export type Foretold = {
  /** A step of the ladder; `wait` when only time can tell; `hold` when a person must decide; `unknown` when it cannot be told. */
  readonly method: string
  readonly assurance: string | null
  /** The content would travel unencrypted. */
  readonly clear: boolean
  /** Of a letter. */
  readonly proof: string | null
  /** A letter that asks for more proof than this version has is held, and its sender told. */
  readonly held: boolean
  /** The step that would serve; null where none does, or that cannot be told. */
  readonly step: Step | null
  /** Why not the step before, or why it waits. */
  readonly reason: Reason | null
  readonly after: string
  /** With `unknown`: what would have to be known. */
  readonly missing: string | null
  /** The steps that could not serve, in order. */
  readonly earlier: readonly Refused[]
}

export type Refused = { readonly method: string; readonly reason: Reason; readonly after: string }

/** Walk the steps until one serves, waits or fails. */
export function foretell(steps: readonly Step[], side: Side, proofs: Proofs): Foretold {
  const earlier: Refused[] = []
  for (const step of steps) {
    const met = meet(step, earlier, side, proofs)
    if ('foretold' in met) return met.foretold
    earlier.push({ method: step.method, ...met })
  }
  // A plan ends with bounce, written or not.
  return end(bounce.method, earlier)
}

function end(method: string, earlier: readonly Refused[], more: Partial<Foretold> = {}): Foretold {
  const last = earlier.at(-1)
  const why = { reason: last?.reason ?? null, after: last?.after ?? '' }
  return { method, assurance: null, clear: false, proof: null, held: false, missing: null, step: null, ...why, earlier, ...more }
}

function meet(step: Step, earlier: readonly Refused[], side: Side, proofs: Proofs): Ended | Omit<Refused, 'method'> {
  const { method, options } = step
  const served = (more: Partial<Foretold> = {}) => ({ foretold: end(method, earlier, { step, ...more }) })
  switch (method) {
    case 'tls':
      return answered(side.tls(options), earlier, served)
    case 'opportunistic':
      return answered(side.opportunistic(), earlier, served)
    case 'pgp':
    case 'smime':
      return side.encrypted ? { reason: 'already-encrypted', after: '' } : answered(side[method](options), earlier, served)
    case 'escrow': {
      const demand = demandFor(options, earlier, proofs)
      return served(demand.kind === 'person' ? { proof: demand.asked, held: true } : { proof: demand.proof })
    }
    case 'hold':
      return served({ held: true })
    default:
      return served()
  }
}

type Ended = { readonly foretold: Foretold }

function answered(met: Met, earlier: readonly Refused[], served: (more: Partial<Foretold>) => Ended): Ended | Omit<Refused, 'method'> {
  switch (met.kind) {
    case 'served':
      return served({ assurance: met.assurance, clear: met.clear })
    case 'refused':
      return { reason: met.reason, after: met.after }
    case 'waits':
      return { foretold: end('wait', earlier, { reason: met.reason, after: '' }) }
    case 'failed':
      return { foretold: end(bounce.method, earlier, { reason: met.reason, after: '' }) }
    case 'unknown':
      return { foretold: end('unknown', earlier, { missing: met.missing }) }
  }
}
