/** Sends the copies that rules ask for (`also-to`): one for each message and address, queued before anything is attempted. */
import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { Logger } from 'pino'
import { needsSmtpUtf8 } from '../mail/address.ts'
import type { Plan } from '../mail/plan.ts'
import { isInside } from '../methods/escrow/offer.ts'
import type { Group } from '../spool/claim.ts'
import { sql, Unexpected } from '../store/db.ts'
import type { DeliveryParts } from './deliver.ts'
import { type Ending, isDamage, returnedByOperator } from './walk.ts'

/**
 * A copy that may not be made: its address is not of the organisation, and nothing else may be done with the mail until that is put right.
 * The text is told to the sender, who need not know of the address; the log has it.
 */
export class CopyRefused extends Error {
  readonly addresses: readonly string[]
  constructor(addresses: readonly string[]) {
    super(
      'the rule asks for a copy to an address that no route of the organisation leads to (also-to, organisation.domains, delivery.routes)',
    )
    this.addresses = addresses
  }
}

/** Who is to get a copy, by plans that were made just now; those frozen before had theirs. While a rule only observes, it sends none. */
export const copiesOf = ({ message, recipients }: Group, plans: ReadonlyMap<string, Plan>): readonly string[] =>
  message.kind !== 'mail'
    ? []
    : [
        ...new Set(
          recipients
            .filter(({ frozen, returning }) => frozen === undefined && !returning)
            .flatMap(({ id }) => plans.get(id) ?? [])
            .flatMap(({ alsoTo = [], observed }) => (observed === undefined ? alsoTo : [])),
        ),
      ]

/**
 * Queue the copies that are not queued yet, byte for byte what came in. Rejects with CopyRefused before any is made, when one would leave the
 * organisation's own route.
 */
export async function makeCopies(parts: DeliveryParts, group: Group, addresses: readonly string[], open: () => Readable): Promise<void> {
  const outside = addresses.filter((address) => !isInside(parts.settings, address))
  if (outside.length > 0) throw new CopyRefused(outside)
  for (const address of addresses) await makeCopy(parts, group, address, open)
}

/** The id tells whether it was made: attempts of other recipients, in other processes too, find the same one. */
async function makeCopy({ spool, spoolParts, settings }: DeliveryParts, { message }: Group, address: string, open: () => Readable) {
  const id = `${message.id}-copy-${createHash('sha256').update(address).digest('hex').slice(0, 12)}`
  const [made] = await spoolParts.db.read(sql`SELECT id FROM message WHERE id = ${id}`)
  if (made !== undefined) return
  const intake = spool.intake({ id, kind: 'copy', about: message.id, steps: [{ method: 'route', options: { inside: true } }] })
  try {
    for await (const chunk of open() as AsyncIterable<Buffer>) await intake.write(chunk)
    await intake.commit({
      envelope: {
        // What becomes of it is told to the operator, and not to the sender, who does not know of it.
        reversePath: '',
        recipients: [{ address, notify: ['NEVER'], bcc: true }],
        body: message.envelope.body,
        smtpUtf8: message.envelope.smtpUtf8 || needsSmtpUtf8(address),
      },
      messageId: message.messageId,
      headerFrom: message.headerFrom,
      client: { address: 'internal', name: settings.hostname, authenticatedAs: null, tls: null },
    })
  } catch (error) {
    await intake.abort().catch(() => undefined)
    if (!(error instanceof Unexpected)) throw error
  }
}

/** A copy that its server refuses is neither lost nor returned: it is held until an operator has it tried again or gives it up. */
export function keptCopy(ending: Ending, log: Logger): Ending {
  const { outcome, recipient } = ending
  if (outcome.kind !== 'failed' || isDamage(outcome) || outcome.reason === returnedByOperator.reason) return ending
  const { reason, text, evidence, status } = outcome
  log.error({ recipient: recipient.id, to: recipient.address, why: text }, 'a copy that a rule asks for is refused; it is held')
  const held = {
    kind: 'deferred',
    reason,
    text,
    next: 'the copy is held until it is released',
    evidence,
    status,
    retry: { then: 'failed' },
  } as const
  const again = { resume: { step: 0, earlier: [] }, stepSince: undefined, stepAttempts: 0, waits: [], nextAttemptAt: undefined }
  return { ...ending, ...again, outcome: held, answer: { outcome: held, hold: { backTo: 0 } } }
}
