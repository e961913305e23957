/** What the endings of an attempt add to the counters. */
import type { MessageKind } from '../mail/envelope.ts'
import { tlsReasons } from '../mail/outcome.ts'
import { methodNames } from '../methods/index.ts'
import { type Count, counted } from '../ops/counters.ts'
import type { Settlement } from '../spool/settle.ts'
import { lastResult, type Planned } from './settlement.ts'

/** What an attempt came to for a recipient, as the label `result` says it. */
const results = {
  waiting: 'deferred',
  held: 'held',
  delivered: 'delivered',
  bounced: 'bounced',
  'letter-waiting': 'letter',
} as const satisfies Record<Settlement['state'], string>

/** One of each recipient's attempt, with the TLS failures on its way. `settlements` are those of `endings`, in the same order. */
export const tally = (kind: MessageKind, endings: readonly Planned[], settlements: readonly Settlement[]): Count[] =>
  endings.flatMap((ending, index) => {
    const settlement = settlements[index]
    return settlement === undefined ? [] : [...attemptOf(kind, ending, settlement), ...tlsFailures(ending)]
  })

function attemptOf(kind: MessageKind, ending: Planned, { state, reason, assurance }: Settlement): Count[] {
  const result = results[state]
  if (kind !== 'mail') return [counted('letterlock_own_mail_total', { kind, result })]
  const method = methodOf(ending)
  return [
    counted('letterlock_deliveries_total', { method, assurance: assurance ?? 'none', result }),
    counted('letterlock_decisions_total', { method, reason: reason ?? 'none' }),
  ]
}

/** The way that was tried last; `bounce` where none was left, `none` where nothing was walked. */
const methodOf = ({ method }: Pick<Planned, 'method'>): string => (known.has(method) ? method : 'none')
const known: ReadonlySet<string> = new Set([...methodNames, 'bounce'])

/** Of this attempt only: those of earlier ones stand before them, and were counted then. */
function tlsFailures(ending: Planned): Count[] {
  const all = [...(ending.tried ?? ending.earlier), lastResult(ending)]
  const now = all.slice(ending.recipient.frozen?.earlier.length ?? 0)
  return now.flatMap(({ method, reason }) =>
    method === 'tls' && reason !== null && ofChannel.has(reason) ? [counted('letterlock_tls_failures_total', { reason })] : [],
  )
}

const ofChannel: ReadonlySet<string> = new Set([...tlsReasons, 'downgrade-suspected'])
