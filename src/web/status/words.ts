/** What the sender's pages say of a letter: facts, state and choices, in the language of the page. */
import type { SenderFound, SenderView } from '../../methods/escrow/sender.ts'
import type { Messages } from '../portal/messages/en.ts'
import type { Words } from '../portal/messages/language.ts'
import { visible } from '../portal/reading/file-name.ts'
import type { ViewData } from '../portal/views.ts'

export type Status = ViewData['status']
export type Standing = Exclude<SenderFound, { kind: 'unknown' }>
export type Problem = 'unsure' | 'again' | 'busy' | 'limited' | 'stale'

/** What can be pressed with a box to be ticked first: a robot that presses every button must not destroy a letter. */
export const deeds = ['hand-over', 'cancel'] as const
export type Deed = (typeof deeds)[number]

/** What a page says of what could not be done; '' for anything that is none of these. */
export function problemText(name: string | undefined, { status }: Messages): string {
  switch (name as Problem | undefined) {
    case 'unsure':
    case 'again':
    case 'busy':
    case 'limited':
    case 'stale':
      return status[name as Problem]
  }
  return ''
}

/** How the letter stands: what everybody with the link may know, and no content. */
export function told(of: SenderView | Exclude<Standing, { kind: 'letter' }>, words: Words): Pick<Status, 'facts' | 'paragraphs'> {
  const { status, facts } = words.t
  const { outside } = of
  const always = [
    [status.to, outside.maskedAddress],
    [facts.reference, outside.reference],
    [status.sealed, words.moment(outside.createdAt)],
  ] as const
  if (!('notifiedAt' in of)) return { facts: always, paragraphs: [of.kind === 'recalled' ? status.recalled : status.expired] }
  const { notifiedAt, readAt, handedOver, notice } = of
  const moment = (name: string, at: number | null) => (at === null ? [] : [[name, words.moment(at)] as const])
  return {
    paragraphs: [status.lead, stateText(of, words.t)],
    facts: [
      ...always,
      ...moment(handedOver ? status.handed : status.notified, notifiedAt),
      ...moment(status.read, readAt),
      ...(notice?.lastReply ? [[status.lastReply, visible(notice.lastReply, 500)] as const] : []),
      ...(notice ? moment(status.nextTry, notice.nextAttemptAt) : []),
      ...moment(facts.until, outside.expiresAt),
    ],
  }
}

function stateText({ outside, handedOver }: SenderView, { status }: Messages): string {
  if (outside.state === 'read') return status.wasRead
  if (handedOver) return status.handedOver
  return outside.state === 'waiting' ? status.waits : status.told
}

/** What the sender may do now. */
export function choicesOf(
  view: SenderView,
  { t: { status } }: Words,
  { path, token }: { path: string; token: string },
): NonNullable<Status['choices']> {
  const over = view.handedOver
    ? { title: status.handOverAgain, text: status.handOverAgainText, link: status.handOverAgainChoose }
    : { title: status.handOver, text: status.handOverText, link: status.handOverChoose }
  return [
    ...(view.notice
      ? [{ title: status.wait, text: status.waitText, form: { action: `${path}/wait`, token, button: status.waitButton } }]
      : []),
    ...(view.mayHandOver ? [{ ...over, link: { href: `${path}/hand-over`, text: over.link } }] : []),
    { title: status.cancel, text: status.cancelText, link: { href: `${path}/cancel`, text: status.cancelChoose } },
  ]
}

/** The question before a deed. */
export function asked(
  deed: Deed,
  { outside, readAt, handedOver }: SenderView,
  words: Words,
): Pick<Status, 'paragraphs' | 'facts'> & { title: string } {
  const { status, facts } = words.t
  const about = [[status.to, outside.maskedAddress] as const, [facts.reference, outside.reference] as const]
  if (deed === 'cancel')
    return {
      title: status.cancel,
      paragraphs: [status.cancelText, ...(readAt === null ? [] : [status.cancelRead(words.moment(readAt))])],
      facts: about,
    }
  const title = handedOver ? status.handOverAgain : status.handOver
  return { title, paragraphs: [handedOver ? status.handOverAgainText : status.handOverText], facts: about }
}

/** The button of a deed, and the box to be ticked first. */
export const buttonOf = (deed: Deed, { status }: Messages): { button: string; sure: string } =>
  deed === 'cancel'
    ? { button: status.cancelButton, sure: status.cancelSure }
    : { button: status.handOverButton, sure: status.handOverSure }
