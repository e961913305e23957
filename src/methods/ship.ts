/** What every method does that hands the message as it is to the transport. */
import type { Need, Transport } from '../transport/transport.ts'
import type { Answer, Attempt } from './method.ts'

/** One shipment of the attempt's content, unchanged, for all its recipients; mail of our own is signed. */
export async function shipAttempt(transport: Transport, attempt: Attempt<unknown>, need: Need): Promise<ReadonlyMap<string, Answer>> {
  const { message, domain, recipients, content, signal } = attempt
  const outcomes = await transport.ship({
    domain,
    need,
    recipients,
    signal,
    reversePath: message.reversePath,
    envelope: message.envelope,
    size: message.size,
    open: content.open,
    whole: content.whole,
    // A copy is what came in, to the byte.
    ...(message.kind !== 'copy' && { sign: message.kind === 'mail' ? 'unless-signed' : 'always' }),
  })
  return new Map([...outcomes].map(([id, outcome]) => [id, { outcome }]))
}
