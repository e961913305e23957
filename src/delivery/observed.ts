/** Tells what a rule that only observes would have done with mail that went as before: its steps, walked over what was seen on the way. */
import { domainOf } from '../mail/address.ts'
import type { Step } from '../mail/plan.ts'
import { keyFor } from '../methods/pgp/keys.ts'
import { pgp } from '../methods/pgp/pgp.ts'
import type { Settings } from '../ops/settings.ts'
import { foretell } from '../routing/foretell.ts'
import type { Observed } from '../routing/record.ts'
import { seenSide } from '../routing/seen.ts'
import type { Db } from '../store/db.ts'
import { routeOf } from '../transport/next-hop.ts'
import { lastResult, type Planned } from './settlement.ts'

type Known = { readonly db: Db; readonly settings: Settings; readonly size: number /** By its sender. */; readonly encrypted: boolean }

/** Undefined where nothing was only observed; `would` is null where too little was seen to tell. */
export async function observedOf(ending: Planned, { db, settings, size, encrypted }: Known): Promise<Observed | undefined> {
  const { plan, recipient } = ending
  if (plan.observed === undefined) return undefined
  const steps = plan.observed.map(({ method }) => method)
  const domain = domainOf(recipient.address)
  const keys = await keysFor(db, recipient.address, plan.observed)
  const side = seenSide(
    {
      ...{ steps: [lastResult(ending)], asked: [undefined], encrypted, size, probed: undefined, verifiedAt: undefined },
      hasKey: (options) => keys.has(trustIn(options)),
      route: routeOf(domain, settings),
      own: settings['organisation.domains'].includes(domain),
    },
    settings,
  )
  const { method, assurance, proof, held, reason, earlier } = foretell(plan.observed, side, settings)
  if (method === 'unknown') return { steps, would: null }
  return { steps, would: { method, assurance, proof, held, reason, earlier: earlier.map(({ method, reason }) => ({ method, reason })) } }
}

const trustIn = (options: Step['options']) => pgp.options.parse(options).trust

/** The kinds of trust, among those that the steps ask for, by which a key is on record. */
async function keysFor(db: Db, address: string, steps: readonly Step[]): Promise<ReadonlySet<string>> {
  const asked = [...new Set(steps.filter(({ method }) => method === 'pgp').map(({ options }) => trustIn(options)))]
  const found = await Promise.all(asked.map(async (trust) => ((await keyFor(db, address, trust)) ? [trust] : [])))
  return new Set(found.flat())
}
