/** Writes DSNs (RFC 3464): a bounce is a new message entering the spool, never the old one walking back. */

import { composeDsn } from '../mail/dsn.ts'
import type { Header } from '../mail/header.ts'
import { newMessageId } from '../mail/id.ts'
import type { Evidence } from '../mail/outcome.ts'
import { failpoint } from '../ops/failpoint.ts'
import type { Statement } from '../store/db.ts'
import type { DeliveryParts } from './deliver.ts'

export type Reported = {
  readonly address: string
  readonly orcpt?: string
  /** RFC 3463 code. */
  readonly status: string
  readonly text: string
  /** `reply` and `host`, where a remote host spoke. */
  readonly evidence: Evidence
  /** Delayed: until when it is tried, milliseconds since 1970. */
  readonly until?: number
}

export type Report = {
  readonly kind: 'failed' | 'delayed' | 'held' | 'delivered' | 'relayed'
  readonly message: {
    readonly id: string
    readonly reversePath: string
    readonly acceptedAt: number
    readonly envelope: { readonly envid?: string }
  }
  readonly header: Header
  readonly recipients: readonly Reported[]
  readonly redactSubject: boolean
  /** What the sender may choose, in paragraphs. */
  readonly choices?: readonly string[]
}

const actionClass = { failed: '5', delayed: '4', held: '4', delivered: '2', relayed: '2' } as const

/** The statements that queue a report to the sender over the organisation's route. */
export async function reportToSender({ settings, clock, spool }: DeliveryParts, report: Report): Promise<readonly Statement[]> {
  const { kind, message } = report
  const now = clock()
  const messageId = newMessageId(settings.hostname)
  const content = await composeDsn({
    kind,
    reportingMta: settings.hostname,
    from: {
      name: settings['organisation.name'] === '' ? 'Mail gateway' : `${settings['organisation.name']} mail gateway`,
      address: `postmaster@${settings['organisation.domains'][0] ?? settings.hostname}`,
    },
    to: message.reversePath,
    messageId,
    date: now,
    arrivedAt: message.acceptedAt,
    queueId: message.id,
    ...(message.envelope.envid !== undefined && { envid: message.envelope.envid }),
    header: report.header,
    redactSubject: report.redactSubject,
    ...(report.choices && { choices: report.choices }),
    recipients: report.recipients.map((one) => ({
      address: one.address,
      ...(one.orcpt !== undefined && { orcpt: one.orcpt }),
      status: `${actionClass[kind]}${one.status.slice(1)}`,
      text: one.text,
      lastAttemptAt: now,
      ...remote(one.evidence),
      ...(kind === 'delayed' && one.until !== undefined && { retryUntil: one.until }),
    })),
  })
  const drafted = spool.draft({
    // What carries a link is wiped off the disk when it has left, as all mail to senders is.
    kind: report.choices ? 'sender-mail' : 'dsn',
    about: message.id,
    messageId,
    headerFrom: '',
    // RFC 5321 §4.5.5: the null reverse-path, so that nobody answers it.
    envelope: {
      reversePath: '',
      recipients: [{ address: message.reversePath, notify: ['NEVER'], bcc: false }],
      body: '7bit',
      smtpUtf8: !/^[\x20-\x7e]*$/.test(message.reversePath),
    },
    content,
    steps: [{ method: 'route', options: {} }],
  })
  failpoint('bounce.drafted')
  return drafted.statements
}

const remote = ({ reply, host }: Evidence): { diagnostic?: string; remoteMta?: string } => ({
  ...(typeof reply === 'string' && { diagnostic: reply }),
  ...(typeof host === 'string' && { remoteMta: host }),
})
