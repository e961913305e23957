/** Those whom a rule names hear of the mail that waits for them: one mail to each for what is held together. */
import { decodeWords, field, type Header, oneLine } from '../mail/header.ts'
import { isInside } from '../methods/escrow/offer.ts'
import { hold } from '../methods/hold/hold.ts'
import { composeRequest } from '../methods/hold/request.ts'
import type { Group } from '../spool/claim.ts'
import type { Statement } from '../store/db.ts'
import type { DeliveryParts } from './deliver.ts'
import type { Planned } from './settlement.ts'

/** What is written with the settlement of mail that a rule holds. Nobody outside the organisation is asked: they would learn who writes to whom. */
export async function requestStatements(
  parts: DeliveryParts,
  group: Group,
  endings: readonly Planned[],
  header: Header,
): Promise<readonly Statement[]> {
  const { settings, spool, log } = parts
  const { message } = group
  const held = endings.filter(({ answer }) => answer?.hold !== undefined && 'onward' in answer.hold)
  const asked = new Map<string, Planned[]>()
  for (const ending of held) for (const approver of approversOf(ending)) asked.set(approver, [...(asked.get(approver) ?? []), ending])
  const subject = oneLine(decodeWords(field(header, 'Subject') ?? '')).slice(0, 200)
  const requests = [...asked].map(async ([approver, some]) => {
    if (!isInside(settings, approver)) {
      log.warn({ message: message.id, approver }, 'an approver is not asked: no route of the organisation leads there')
      return []
    }
    const request = await composeRequest(parts, approver, {
      message: message.id,
      sender: message.reversePath || message.headerFrom,
      recipients: some.map(({ recipient }) => recipient.address),
      ids: some.map(({ recipient }) => recipient.id),
      size: message.size,
      rule: some[0]?.plan.rule.name ?? '',
      acceptedAt: message.acceptedAt,
      ...(settings['notice.subject'] === 'original' && { subject }),
    })
    return spool.draft(request).statements
  })
  return (await Promise.all(requests)).flat()
}

const approversOf = ({ plan, step }: Planned): readonly string[] => hold.options.parse(plan.steps[step]?.options).approvers ?? []
