/** Enhanced status codes (RFC 3463 and its IANA registry): what the three numbers say, in words. */

const subjects: { readonly [subjectAndDetail: string]: string } = {
  '1.0': 'an address is at fault',
  '1.1': 'the mailbox does not exist',
  '1.2': 'the domain does not exist or takes no mail',
  '1.3': 'the address is not written correctly',
  '1.4': 'the address fits several mailboxes',
  '1.6': 'the mailbox has moved and left no new address',
  '1.7': "the sender's address is not written correctly",
  '1.8': "the sender's domain cannot be found",
  '1.10': 'the domain says that it takes no mail',
  '2.0': 'the mailbox is at fault',
  '2.1': 'the mailbox is switched off',
  '2.2': 'the mailbox is full',
  '2.3': 'the message is larger than this mailbox takes',
  '2.4': 'the mailing list could not be expanded',
  '3.0': "the recipient's mail system is at fault",
  '3.1': "the recipient's mail system is full",
  '3.2': "the recipient's mail system takes no mail at present",
  '3.4': "the message is larger than the recipient's mail system takes",
  '4.0': 'the network is at fault',
  '4.1': "the recipient's mail server does not answer",
  '4.2': 'the connection broke off',
  '4.3': 'the directory (DNS) does not answer',
  '4.4': 'no way to the recipient could be found',
  '4.5': "the recipient's mail server is too busy",
  '4.6': 'the message was going round in circles',
  '4.7': 'the message could not be delivered in time',
  '5.0': 'the mail servers did not understand each other',
  '5.1': 'a command was not accepted',
  '5.3': 'too many recipients at once',
  '6.0': 'the content is at fault',
  '6.1': 'this kind of content is not taken',
  '6.3': 'the content would have to be converted, which is not possible',
  '6.7': 'the address needs internationalised mail, which the next server lacks',
  '6.11': 'the message holds line ends that are not allowed',
  // RFC 3463 §3.8: security in general; we say it of channels that are not safe enough (4.7.0) and of mail that a rule holds.
  '7.0': 'a security rule stands in the way',
  '7.1': 'a rule forbids this delivery',
  '7.4': 'the security asked for is not offered',
  '7.5': 'encryption failed',
  '7.8': 'the login was not accepted',
  '7.10': 'encryption is needed',
  '7.30': 'the next server does not promise to keep the message encrypted',
}

const shape = /(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])/

/** True for class.subject.detail with class 2, 4 or 5 (RFC 3463 §2). */
export const isStatus = (text: string): boolean => shape.exec(text)?.[0] === text

/** The status code at the start of a reply's text (RFC 2034 §4), undefined when there is none. */
export function statusIn(replyText: string): string | undefined {
  const found = shape.exec(replyText.slice(0, 12))
  return found?.index === 0 ? found[0] : undefined
}

/** One clause in plain words, e.g. `the mailbox is full`; for an unknown detail its subject, for an unknown subject its class. */
export function describeStatus(status: string): string {
  const [, kind = '', subject = '', detail = ''] = shape.exec(status) ?? []
  const known = subjects[`${subject}.${detail}`] ?? subjects[`${subject}.0`]
  if (kind === '2') return 'the message was accepted'
  if (known !== undefined) return known
  return kind === '4' ? 'a passing fault' : 'the message was refused'
}

/** The same code in another class: `withClass('4.4.1', 5)` when patience has ended. */
export const withClass = (status: string, kind: 2 | 4 | 5): string => (isStatus(status) ? `${kind}${status.slice(1)}` : `${kind}.0.0`)
