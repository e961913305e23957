import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import PostalMime from 'postal-mime'
import { composeDsn, type Dsn } from '../../src/mail/dsn.ts'
import { messageFacts } from '../../src/mail/facts.ts'
import { field, parseHeader, splitHeader } from '../../src/mail/header.ts'

const original = parseHeader(
  Buffer.from(
    'Received: from a by b; Mon, 1 Jan 2026 00:00:00 +0000\r\nFrom: Anna <anna@org.example>\r\nTo: max@lab.example\r\nBcc: hidden@lab.example\r\n' +
      'Subject: The merger\r\n with Acme\r\nMessage-ID: <one@org.example>\r\nX-Name: Jörg\r\n',
  ),
)

const dsn = (more: Partial<Dsn> = {}): Dsn => ({
  kind: 'failed',
  reportingMta: 'gw.org.example',
  from: { name: 'Mail Delivery', address: 'postmaster@org.example' },
  to: 'anna@org.example',
  messageId: '<d1@gw.org.example>',
  date: Date.UTC(2026, 0, 2, 3, 4, 5),
  arrivedAt: Date.UTC(2026, 0, 1, 3, 4, 5),
  queueId: '01jabc',
  recipients: [
    {
      address: 'max@lab.example',
      orcpt: 'rfc822;max+2Bx@lab.example',
      status: '5.1.1',
      text: 'mx1.lab.example says that there is no such mailbox',
      diagnostic: '550 5.1.1 no such user',
      remoteMta: 'mx1.lab.example',
      lastAttemptAt: Date.UTC(2026, 0, 2, 3, 0, 0),
    },
  ],
  header: original,
  redactSubject: false,
  ...more,
})

/** The parts as a mail program sees them. */
async function read(given: Dsn) {
  const content = await composeDsn(given)
  const parsed = await PostalMime.parse(content, { forceRfc822Attachments: true })
  const part = (type: string) => {
    const found = parsed.attachments.find(({ mimeType }) => mimeType === type)
    return found === undefined ? undefined : Buffer.from(found.content as ArrayBuffer).toString()
  }
  const wire = content.toString('latin1')
  return { content, wire, parsed, status: part('message/delivery-status') ?? '', headers: part('text/rfc822-headers') ?? '' }
}

/** The blocks of a delivery-status part (RFC 3464 §2.1). */
const blocks = (text: string) =>
  text
    .trim()
    .split(/\r?\n\r?\n/)
    .map((block) => parseHeader(Buffer.from(`${block}\r\n`)))

test('the first paragraph says in plain words what failed, why, and what can be done', async () => {
  const { parsed } = await read(dsn())
  const first = parsed.text?.split(/\r?\n\r?\n/)[0] ?? ''
  assert.match(
    first,
    /^Your message could not be delivered to max@lab\.example: mx1\.lab\.example says that there is no such mailbox\. Nothing further is tried\./,
  )
  assert.match(first, /ask your administrator/)
  assert.match(parsed.text ?? '', /The other side said: 550 5\.1\.1 no such user/)
})

test('the report is a multipart/report with the fields of RFC 3464', async () => {
  const { content, status } = await read(dsn({ envid: 'QQ+2B314159' }))
  const header = parseHeader(splitHeader(content).header)
  assert.equal(messageFacts(header).dsn, true)
  assert.equal(messageFacts(header).autoSubmitted, true)
  assert.equal(field(header, 'In-Reply-To'), '<one@org.example>')
  const [message = [], recipient = []] = blocks(status)
  assert.equal(field(message, 'Reporting-MTA'), 'dns; gw.org.example')
  assert.equal(field(message, 'Original-Envelope-Id'), 'QQ+314159')
  assert.equal(field(message, 'Arrival-Date'), 'Thu, 01 Jan 2026 03:04:05 +0000')
  assert.deepEqual(
    [
      'Original-Recipient',
      'Final-Recipient',
      'Action',
      'Status',
      'Remote-MTA',
      'Diagnostic-Code',
      'Last-Attempt-Date',
      'Will-Retry-Until',
    ].map((name) => field(recipient, name)),
    [
      'rfc822; max+x@lab.example',
      'rfc822; max@lab.example',
      'failed',
      '5.1.1',
      'dns; mx1.lab.example',
      'smtp; 550 5.1.1 no such user',
      'Fri, 02 Jan 2026 03:00:00 +0000',
      undefined,
    ],
  )
})

test('only the header comes back, never Bcc', async () => {
  const { headers, wire } = await read(dsn())
  assert.match(headers, /Subject: The merger\r?\n with Acme/)
  assert.match(headers, /X-Name: Jörg/)
  assert.doesNotMatch(wire, /hidden@|^Bcc/im)
})

test('a protected subject stands nowhere in the report', async () => {
  const { headers, wire } = await read(dsn({ redactSubject: true }))
  assert.match(headers, /Subject: \.\.\./)
  assert.doesNotMatch(wire, /merger|Acme/)
})

test('several recipients have a block and a sentence each', async () => {
  const one = { status: '5.2.2', text: 'the mailbox is full' }
  const { status, parsed } = await read(
    dsn({
      recipients: [
        { ...one, address: 'a@lab.example' },
        { ...one, address: 'b@lab.example', status: '5.7.1', text: 'no rule allows it' },
      ],
    }),
  )
  assert.deepEqual(
    blocks(status)
      .slice(1)
      .map((block) => field(block, 'Final-Recipient')),
    ['rfc822; a@lab.example', 'rfc822; b@lab.example'],
  )
  assert.match(parsed.text ?? '', /these 2 recipients/)
  assert.match(parsed.text ?? '', /b@lab\.example\s+no rule allows it\s+In short: a rule forbids this delivery \(5\.7\.1\)/)
})

test('a delay says until when it is tried, a receipt that it was asked for', async () => {
  const recipient = { address: 'a@lab.example', status: '4.4.1', text: 'mx.lab.example does not answer', retryUntil: Date.UTC(2026, 0, 6) }
  const delayed = await read(dsn({ kind: 'delayed', recipients: [recipient] }))
  assert.equal(field(blocks(delayed.status)[1] ?? [], 'Will-Retry-Until'), 'Tue, 06 Jan 2026 00:00:00 +0000')
  assert.equal(field(blocks(delayed.status)[1] ?? [], 'Action'), 'delayed')
  assert.match(delayed.parsed.text ?? '', /has not been delivered yet.*You need not do anything/s)
  const delivered = await read(
    dsn({ kind: 'delivered', recipients: [{ address: 'a@lab.example', status: '2.0.0', text: 'over verified TLS' }] }),
  )
  assert.equal(field(blocks(delivered.status)[1] ?? [], 'Action'), 'delivered')
  assert.match(delivered.parsed.text ?? '', /was delivered to a@lab\.example: over verified TLS\. You get this report because/)
})

test('an address beyond ASCII is written as RFC 6533 says, so that the report needs no 8-bit path', async () => {
  const { status, wire } = await read(dsn({ recipients: [{ address: 'jörg@lab.example', status: '5.1.1', text: 'unknown' }] }))
  assert.equal(field(blocks(status)[1] ?? [], 'Final-Recipient'), 'utf-8; j\\x{F6}rg@lab.example')
  assert.doesNotMatch(wire, /[^\x00-\x7f]/)
})

test('whatever a remote host, a sender or an ENVID says, no field is added and no line breaks in', async () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom('\r\n', '\n', '\r', '\0', ':', ' ', '+0D', '+0A', '=?', 'Status: 2.0.0', '\u2028', 'ü'),
      fc.string({ minLength: 1, maxLength: 3 }),
    ),
    maxLength: 30,
  })
  await fc.assert(
    fc.asyncProperty(text, text, text, text, async (diagnostic, words, envid, remoteMta) => {
      const { status, wire } = await read(
        dsn({
          envid,
          recipients: [{ address: 'a@lab.example', orcpt: `rfc822;${envid}`, status: '5.0.0', text: words, diagnostic, remoteMta }],
        }),
      )
      const found = blocks(status)
      assert.equal(found.length, 2)
      assert.deepEqual(
        found.flat().map(({ name }) => name),
        [
          'Original-Envelope-Id',
          'Reporting-MTA',
          'Arrival-Date',
          'Original-Recipient',
          'Final-Recipient',
          'Action',
          'Status',
          'Remote-MTA',
          'Diagnostic-Code',
        ],
      )
      assert.doesNotMatch(wire, /[^\x00-\x7f]|(?<!\r)\n|\r(?!\n)|\0/)
    }),
    { numRuns: 60 },
  )
})
