/** What a next hop gets: the message byte for byte, an answer for every recipient, and what is remembered of it. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { SealBroken } from '../../src/seal/payload.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'

let world: SmallWorld
before(async () => {
  world = await openWorld()
})
after(() => world?.close())

const good = async (domain: string) => ({ tls: await world.authority.issue([`mx.${domain}`]) })
const kinds = (all: ReadonlyMap<string, { kind: string; reason?: string }>) =>
  [...all].map(([to, { kind, reason }]) => [to.split('@')[0], reason ?? kind])

test('a message goes over verified TLS byte for byte, 8-bit octets and leading dots included', async () => {
  const partner = await world.partner('good.example', await good('good.example'))
  const body = Buffer.concat([
    Buffer.from('.Subject: dot\r\n\r\n.\r\n..\r\n...\r\nplain . dot\r\n'),
    Buffer.from([0x00, 0x80, 0xff, 0xfe, 0x0d, 0x0a, 0x2e, 0x0d, 0x0a]),
    Buffer.from(`${'x'.repeat(70_000)}\r\n.end\r\n`),
  ])
  const { first } = await world.ship('good.example', verified, { body, envelope: { body: '8bit', smtpUtf8: false } })
  assert.equal(first.kind, 'delivered', first.text)
  const [mail] = partner.mails
  assert.deepEqual(mail?.content, body)
  assert.equal(mail?.tls?.protocol, 'TLSv1.3')
  assert.equal(mail?.tls?.serverName, 'mx.good.example')
  assert.equal(mail?.parameters, `SIZE=${body.length} BODY=8BITMIME`)
})

test('in clear a forced message says only EHLO and STARTTLS', async () => {
  const partner = await world.partner('tap.example', await good('tap.example'))
  await world.ship('tap.example', verified)
  assert.equal(partner.clear().toString(), 'EHLO gate.org.example\r\nSTARTTLS\r\n')
  assert.equal(partner.mails.length, 1)
})

test('the evidence of a delivery names host, channel, certificate and reply', async () => {
  await world.partner('evidence.example', await good('evidence.example'))
  const { first } = await world.ship('evidence.example', verified)
  assert.equal(first.kind === 'delivered' && first.assurance, 'verified')
  const { certificate, ...rest } = first.evidence
  assert.equal(rest.host, 'mx.evidence.example')
  assert.equal(rest.port, world.port)
  assert.equal(rest.identity, 'webpki (MX name from unsigned DNS)')
  assert.match(String(rest.cipher), /^TLS_/)
  assert.equal(rest.reply, '250 2.0.0 queued as partner-1')
  assert.deepEqual(Object.keys(certificate as object).sort(), ['fingerprint256', 'issuer', 'notAfter', 'notBefore', 'subject'])
})

test('of two recipients the refused one bounces and the other gets the message, in one transaction', async () => {
  const partner = await world.partner('two.example', {
    ...(await good('two.example')),
    script: (verb, line) => (verb === 'RCPT' && line.includes('typo') ? '550 5.1.1 no such user' : undefined),
  })
  const { all } = await world.ship('two.example', verified, { to: ['typo@two.example', 'ann@two.example'] })
  assert.deepEqual(kinds(all), [
    ['typo', 'recipient-refused'],
    ['ann', 'delivered'],
  ])
  const refused = all.get('typo@two.example')
  assert.equal(refused?.kind === 'failed' && refused.status, '5.1.1')
  assert.equal(partner.mails.length, 1)
  assert.deepEqual(
    partner.mails[0]?.recipients.map(({ address }) => address),
    ['ann@two.example'],
  )
})

test('a deferred recipient waits, the others go on', async () => {
  const partner = await world.partner('grey.example', {
    ...(await good('grey.example')),
    script: (verb, line) => (verb === 'RCPT' && line.includes('grey@') ? '451 4.7.1 greylisted' : undefined),
  })
  const { all } = await world.ship('grey.example', verified, { to: ['grey@grey.example', 'ann@grey.example'] })
  assert.deepEqual(kinds(all), [
    ['grey', 'recipient-deferred'],
    ['ann', 'delivered'],
  ])
  const grey = all.get('grey@grey.example')
  assert.deepEqual(grey?.kind === 'deferred' && [grey.retry, grey.status], [{ then: 'failed' }, '4.7.1'])
  assert.equal(partner.mails.length, 1)
})

test('when all recipients are refused a 354 is answered with a lone dot and nothing of the content leaves', async () => {
  const partner = await world.partner('none.example', {
    ...(await good('none.example')),
    script: (verb) => (verb === 'RCPT' ? '550 5.1.1 no' : verb === 'DATA' ? '354 go on all the same' : undefined),
  })
  const { all } = await world.ship('none.example', verified, { to: ['a@none.example', 'b@none.example'] })
  assert.deepEqual(kinds(all), [
    ['a', 'recipient-refused'],
    ['b', 'recipient-refused'],
  ])
  assert.equal(partner.mails[0]?.content.length, 0)
})

test('too many recipients: the rest get a transaction of their own at once', async () => {
  const partner = await world.partner('many.example', {
    ...(await good('many.example')),
    script: (verb, _line, { recipients }) => (verb === 'RCPT' && recipients.length >= 3 ? '452 4.5.3 too many' : undefined),
  })
  const to = Array.from({ length: 7 }, (_, i) => `r${i}@many.example`)
  const { all } = await world.ship('many.example', verified, { to })
  assert.ok([...all.values()].every(({ kind }) => kind === 'delivered'))
  assert.deepEqual(
    partner.mails.map(({ recipients }) => recipients.length),
    [3, 3, 1],
  )
  assert.equal(partner.connections(), 1)
})

test('a transaction has at most a hundred recipients', async () => {
  const partner = await world.partner('hundred.example', await good('hundred.example'))
  const { all } = await world.ship('hundred.example', verified, { to: Array.from({ length: 205 }, (_, i) => `r${i}@hundred.example`) })
  assert.ok([...all.values()].every(({ kind }) => kind === 'delivered'))
  assert.deepEqual(
    partner.mails.map(({ recipients }) => recipients.length),
    [100, 100, 5],
  )
})

test('a server without PIPELINING is asked one command at a time', async () => {
  const partner = await world.partner('plain.example', { ...(await good('plain.example')), keywords: ['SIZE 1000000'] })
  const { all } = await world.ship('plain.example', verified, { to: ['a@plain.example', 'b@plain.example'] })
  assert.ok([...all.values()].every(({ kind }) => kind === 'delivered'))
  assert.equal(partner.mails[0]?.recipients.length, 2)
})

test('DSN parameters go along where DSN is offered, and only there', async () => {
  const withDsn = await world.partner('dsn.example', await good('dsn.example'))
  const without = await world.partner('nodsn.example', { ...(await good('nodsn.example')), keywords: ['PIPELINING'] })
  for (const domain of ['dsn.example', 'nodsn.example']) {
    const recipients = [{ id: '1', address: `ann@${domain}`, orcpt: 'rfc822;ann+2B@x.example', notify: ['SUCCESS', 'FAILURE'] as const }]
    await world.ship(domain, verified, { recipients, envelope: { ret: 'HDRS', envid: 'QQ314159', body: '7bit', smtpUtf8: false } })
  }
  assert.match(withDsn.mails[0]?.parameters ?? '', /RET=HDRS ENVID=QQ314159$/)
  assert.equal(withDsn.mails[0]?.recipients[0]?.parameters, 'NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann+2B@x.example')
  assert.equal(without.mails[0]?.parameters, '')
  assert.equal(without.mails[0]?.recipients[0]?.parameters, '')
})

test('the null reverse-path is sent as it is', async () => {
  const partner = await world.partner('null.example', await good('null.example'))
  await world.ship('null.example', verified, { reversePath: '' })
  assert.equal(partner.lines.find(({ line }) => line.startsWith('MAIL'))?.line.startsWith('MAIL FROM:<> '), true)
})

test('content with a bare line feed never arrives', async () => {
  const partner = await world.partner('bare.example', await good('bare.example'))
  const { first } = await world.ship('bare.example', verified, { body: 'Subject: x\r\n\r\none\n.\r\nMAIL FROM:<evil@x>\r\n' })
  assert.equal(first.kind === 'failed' && first.reason, 'content-damaged')
  assert.equal(partner.mails.length, 0)
})

test('content that breaks while it is read is not delivered, and waits', async () => {
  const partner = await world.partner('broken.example', await good('broken.example'))
  const open = () =>
    Readable.from(
      (async function* () {
        yield Buffer.from('Subject: x\r\n\r\nhalf')
        throw new Error('the seal is broken')
      })(),
    )
  const { first } = await world.ship('broken.example', verified, { open })
  assert.equal(first.kind === 'deferred' && first.reason, 'local-fault')
  assert.equal(partner.mails.length, 0)
})

test('content whose seal breaks in the middle is not delivered, and is told from a disk that fails', async () => {
  const partner = await world.partner('altered.example', await good('altered.example'))
  const open = () =>
    Readable.from(
      (async function* () {
        yield Buffer.from('Subject: x\r\n\r\nhalf')
        throw new SealBroken('the sealed payload is damaged')
      })(),
    )
  const { first } = await world.ship('altered.example', verified, { open })
  assert.equal(first.kind === 'failed' && first.reason, 'content-damaged')
  assert.equal(partner.mails.length, 0)
})

test('an attempt that is stopped ends at once and its message waits', async () => {
  await world.partner('slow.example', {
    ...(await good('slow.example')),
    script: (verb) => (verb === 'RCPT' ? { then: 'silence' } : undefined),
  })
  const started = Date.now()
  const { first } = await world.ship('slow.example', verified, { signal: AbortSignal.timeout(150) })
  assert.equal(first.kind, 'deferred')
  assert.ok(Date.now() - started < 6000)
})
