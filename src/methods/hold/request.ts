/** Asks those whom a rule names to look at mail that it holds: who wrote to whom, how much, by which rule; never the content. */
import { needsSmtpUtf8 } from '../../mail/address.ts'
import { compose } from '../../mail/compose.ts'
import { newMessageId } from '../../mail/id.ts'
import type { Settings } from '../../ops/settings.ts'
import type { Original } from '../../spool/spool.ts'

/** Mail that is held. Addresses are canonical, `subject` on one line; `ids` are those of its recipients in the queue. */
export type HeldMail = {
  readonly message: string
  readonly sender: string
  readonly recipients: readonly string[]
  readonly ids: readonly string[]
  /** Bytes of the content. */
  readonly size: number
  readonly rule: string
  /** Given only where the settings let subjects out (`notice.subject: original`). */
  readonly subject?: string
  /** Milliseconds since 1970. */
  readonly acceptedAt: number
}

type Parts = { readonly settings: Settings; readonly clock: () => number }

/** One mail to one approver, by the organisation's own route and no other way. */
export async function composeRequest({ settings, clock }: Parts, approver: string, held: HeldMail): Promise<Original> {
  const messageId = newMessageId(settings.hostname)
  const from = settings['notice.from']
  const content = await compose({
    from: { name: settings['organisation.name'].replace(/[^\p{L}\p{N} .,&-]/gu, ''), address: from },
    to: [{ name: '', address: approver }],
    subject: 'A message waits for your approval',
    text: textOf(held),
    messageId,
    date: clock(),
    autoSubmitted: 'auto-generated',
  })
  return {
    kind: 'request',
    about: held.message,
    messageId,
    headerFrom: from,
    // Nobody answers it; if it cannot be delivered the log says so, and the mail stays held.
    envelope: {
      ...{ reversePath: '', body: '7bit', smtpUtf8: needsSmtpUtf8(approver) },
      recipients: [{ address: approver, notify: ['NEVER'], bcc: false }],
    },
    content,
    steps: [{ method: 'route', options: { inside: true } }],
  }
}

function textOf({ sender, recipients, ids, size, rule, subject, acceptedAt }: HeldMail): string {
  const commands = ids.flatMap((id) => [
    `  letterlock queue release ${id} --comment "why"`,
    `  letterlock queue bounce ${id} --comment "why"`,
  ])
  return [
    `A message is held by the rule "${rule}" until you, or somebody else who may, release it or return it to its sender.`,
    '',
    `From:     ${sender === '' ? '(no sender: an automatic message)' : sender}`,
    `To:       ${recipients.join(', ')}`,
    ...(subject === undefined ? [] : [`Subject:  ${subject}`]),
    `Size:     ${size} bytes`,
    `Accepted: ${new Date(acceptedAt).toUTCString()}`,
    '',
    'Whoever runs the mail gateway can do it for you:',
    '',
    ...commands,
    '',
    'Its sender has been told that it waits. Nothing is sent until then.',
    '',
  ].join('\n')
}
