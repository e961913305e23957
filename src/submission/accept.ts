/** The DATA path: from the first octet after 354 to the reply, streaming into the spool; 250 only once the spool is sure. */

import type { Logger } from 'pino'
import type { EnvelopeRecipient } from '../mail/envelope.ts'
import type { Clock } from '../ops/clock.ts'
import { failpoint } from '../ops/failpoint.ts'
import type { Settings } from '../ops/settings.ts'
import type { Acceptance, Intake, Spool } from '../spool/spool.ts'
import { type Accepted, judgeHeader, type Trace } from './content-header.ts'
import { createUnstuffer, type Fault, type Unstuffer } from './dots.ts'
import { createHeaderBlock } from './header-block.ts'
import type { MailArgument, RcptArgument } from './path.ts'
import { farewell, type Reply, reply } from './reply.ts'

export type Transaction = {
  readonly mail: MailArgument
  /** By canonical address; naming one twice keeps the later parameters. */
  readonly recipients: Map<string, RcptArgument>
}

/** The part of the spool that mail coming in needs. */
export type Intakes = Pick<Spool, 'intake' | 'free'>

export type AcceptParts = { readonly settings: Settings; readonly spool: Intakes; readonly clock: Clock; readonly log: Logger }

export type Sender = {
  readonly client: Acceptance['client']
  readonly protocol: string
  /** Asked about each header From address when the reverse-path is null. */
  readonly refuseFrom: (address: string) => Reply | undefined
}

/** `more`: go on. `done`: the content has ended, this is the reply, `rest` are the next commands. `stop`: reply and close, unread. */
export type Taken =
  | { readonly kind: 'more' }
  | { readonly kind: 'done'; readonly reply: Reply; readonly rest: Buffer }
  | { readonly kind: 'stop'; readonly reply: Reply }

export type Reception = {
  /** Take the next octets from the wire; one call at a time. Resolves when more may come: this is the back-pressure. */
  readonly take: (chunk: Buffer) => Promise<Taken>
  /** The connection or our patience is gone: nothing of the message stays. Without effect once the spool has been asked to commit. */
  readonly abandon: () => void
  /** The spool has been asked: from here the answer is the spool's, however late (RFC 1047: twice is better than never). */
  readonly committing: () => boolean
}

/** Receive one message. A refusal found on the way is kept, the rest is read and dropped, and the reply comes after the final dot. */
export function createReception(parts: AcceptParts, transaction: Transaction, sender: Sender): Reception {
  const { settings, spool, log } = parts
  const unstuffer = createUnstuffer(settings['limits.lineLength'])
  const block = createHeaderBlock(settings['limits.headerSize'])
  let size = 0
  let refusal: Reply | undefined
  let intake: Intake | undefined
  let accepted: Accepted | undefined
  let busy = false
  let gone = false
  let committing = false

  const refuse = (because: Reply) => {
    refusal ??= because
  }

  const drop = async () => {
    const dropped = intake
    intake = undefined
    await dropped?.abort().catch((error: unknown) => log.warn({ err: error }, 'an unfinished message could not be removed'))
  }

  const store = async (piece: Buffer) => {
    if (piece.length === 0 || intake === undefined) return
    try {
      await intake.write(piece)
      failpoint('data.content')
    } catch (error) {
      log.error({ err: error }, 'a message could not be written to the spool')
      refuse(diskRefusal)
    }
  }

  /** The whole header is here: judge it, and only then open an intake. */
  const beginContent = async (header: Buffer, body: Buffer) => {
    failpoint('data.before-content')
    const opened = spool.intake()
    const { mostReceived, refuseFrom } = headerRules(settings, transaction, sender)
    const judged = judgeHeader(header, traceOf(parts, transaction, sender, opened.id), { mostReceived, refuseFrom })
    intake = opened
    if (judged.kind === 'refused') return refuse(judged.reply)
    accepted = judged
    await store(judged.header)
    await store(body)
  }

  const content = async (piece: Buffer) => {
    if (accepted !== undefined) return store(piece)
    const found = block.add(piece)
    if (found.kind === 'too-large') return refuse(headerTooLarge(settings['limits.headerSize']))
    if (found.kind === 'whole') await beginContent(found.header, found.rest)
  }

  const commit = async (): Promise<Reply> => {
    if (accepted === undefined && refusal === undefined) await beginContent(block.all(), Buffer.alloc(0))
    if (refusal !== undefined) return refusal
    if (gone || intake === undefined || accepted === undefined) return lateRefusal
    committing = true
    failpoint('data.ended')
    const acceptance = acceptanceOf(transaction, sender, accepted, unstuffer)
    try {
      await intake.commit(acceptance)
    } catch (error) {
      log.error({ err: error, message: intake.id }, 'a message could not be committed to the spool')
      return isDiskError(error) ? diskRefusal : databaseRefusal
    }
    const { id } = intake
    intake = undefined
    log.info({ message: id, size, recipients: acceptance.envelope.recipients.length, ...sender.client }, 'message accepted')
    failpoint('accept.before-250')
    return reply(250, '2.0.0', `queued as ${id}`)
  }

  const step = async (chunk: Buffer): Promise<Taken> => {
    const { clear, end, rest } = unstuffer.feed(chunk)
    size += clear.length
    if (size > settings['smtp.maxMessageSize'])
      return { kind: 'stop', reply: farewell(552, '5.3.4', tooLarge(settings['smtp.maxMessageSize'])) }
    const fault = unstuffer.fault()
    if (fault !== undefined) refuse(faultRefusal(fault, settings['limits.lineLength']))
    if (refusal === undefined && !gone) await content(clear)
    if (refusal !== undefined) await drop()
    if (!end) return { kind: 'more' }
    const answer = await commit()
    await drop()
    return { kind: 'done', reply: answer, rest }
  }

  return {
    take: async (chunk) => {
      busy = true
      // A bug of ours on the way: the client keeps its message, and the others their server.
      const taken = await step(chunk).catch((error: unknown): Taken => {
        log.error({ err: error, client: sender.client.address }, 'a message could not be received')
        return { kind: 'stop', reply: farewell(451, databaseRefusal.status, databaseRefusal.text) }
      })
      busy = false
      if (gone || taken.kind === 'stop') await drop()
      return taken
    },
    abandon: () => {
      gone = true
      // A write under way ends first; `take` then drops what there is.
      if (!busy) void drop()
    },
    committing: () => committing,
  }
}

/** What MAIL and DATA say about a message that is larger than smtp.maxMessageSize. */
export const tooLarge = (most: number) => `The message is larger than ${most} octets (smtp.maxMessageSize); send it in parts or as a link`

/** RFC 5321 §4.5.3.2: after limits.dataTimeout. */
export const lateRefusal = farewell(
  451,
  '4.4.2',
  'The message did not arrive in time (limits.dataTimeout); nothing was kept, send it again',
)

export const diskRefusal = reply(452, '4.3.1', 'Not enough room or a disk error here; the message was not kept, send it again later')

export const databaseRefusal = reply(451, '4.3.0', 'The queue is out of order at the moment; the message was not kept, send it again later')

const headerTooLarge = (most: number) =>
  reply(554, '5.6.0', `The header is larger than ${most} octets (limits.headerSize); send with fewer or shorter header fields`)

function faultRefusal(fault: Fault, lineLimit: number): Reply {
  switch (fault) {
    case 'bare-cr':
      return reply(550, '5.6.11', 'The message has a CR without LF: lines must end with CRLF; correct the program that wrote it')
    case 'bare-lf':
      return reply(550, '5.6.11', 'The message has an LF without CR: lines must end with CRLF; correct the program that wrote it')
    case 'nul':
      return reply(550, '5.6.0', 'The message has a NUL octet, which mail may not contain (RFC 5322); encode binary content as base64')
    case 'long-line':
      return reply(554, '5.6.0', `A line is longer than ${lineLimit} octets (limits.lineLength); encode it as quoted-printable or base64`)
  }
}

const diskErrors =
  /^(?:ENOSPC|EDQUOT|EIO|EROFS|EFBIG|EMFILE|ENFILE|EACCES|ENOENT|SQLITE_FULL.*|SQLITE_IOERR.*|SQLITE_READONLY.*|SQLITE_CANTOPEN.*)$/

const isDiskError = (error: unknown) => error instanceof Error && 'code' in error && diskErrors.test(String(error.code))

const headerRules = (settings: Settings, { mail }: Transaction, { refuseFrom }: Sender) => ({
  mostReceived: settings['limits.receivedFields'],
  refuseFrom: mail.reversePath === '' ? refuseFrom : undefined,
})

const traceOf = ({ settings, clock }: AcceptParts, { mail }: Transaction, { client, protocol }: Sender, id: string): Trace => ({
  id,
  hostname: settings.hostname,
  helo: client.name,
  address: client.address,
  // RFC 6531 §4.3: UTF8SMTPSA for ESMTPSA.
  protocol: mail.smtpUtf8 ? protocol.replace(/^E/, 'UTF8') : protocol,
  now: clock(),
})

function acceptanceOf(transaction: Transaction, { client }: Sender, header: Accepted, content: Unstuffer): Acceptance {
  const { mail } = transaction
  const recipients: EnvelopeRecipient[] = [...transaction.recipients.values()].map((recipient) => ({
    ...recipient,
    bcc: !header.named.has(recipient.address.toLowerCase()),
  }))
  const addresses = [mail.reversePath, ...recipients.map(({ address }) => address)]
  return {
    envelope: {
      reversePath: mail.reversePath,
      recipients,
      ...(mail.ret === undefined ? {} : { ret: mail.ret }),
      ...(mail.envid === undefined ? {} : { envid: mail.envid }),
      // What the content needs, not what the client declared: many declare 8BITMIME and SMTPUTF8 always, which would shut out old hosts.
      body: content.eightBit() ? '8bit' : '7bit',
      smtpUtf8: mail.smtpUtf8 && (header.eightBit || addresses.some((address) => /[^\x00-\x7f]/.test(address))),
    },
    messageId: header.messageId,
    headerFrom: header.headerFrom,
    client,
    plainLines: content.fault() === undefined && !content.stuffed(),
  }
}
