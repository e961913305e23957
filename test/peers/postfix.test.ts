/** Postfix at the other end: as the server that our mail goes to, and as the client that brings us mail. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startWorld, type World } from '../stories/world.ts'
import { peer } from '../world/peers.ts'
import { needsRoot } from './daemon.ts'
import { arrivesIntact, becomesLetter, delicate, pointTo, sameOctets, trustedAuthority, withoutTrace } from './mails.ts'
import { type Postfix, startPostfix } from './postfix.ts'

const skip = peer('postfix').skip || needsRoot('Postfix')

describe('Postfix', { skip }, () => {
  let world: World
  let postfix: Postfix | undefined
  const running = () => postfix ?? assert.fail('Postfix does not run')
  const ends = () => ({ world, maildir: running().maildir })
  before(async () => {
    world = await startWorld({ 'lab.example': {} })
    const authority = await trustedAuthority(world)
    const port = world.settings['delivery.port']
    const at = { 'good.postfix.example': '127.0.0.61', 'plain.postfix.example': '127.0.0.62', 'wrong.postfix.example': '127.0.0.63' }
    pointTo(world, at)
    postfix = await startPostfix({
      domains: Object.keys(at),
      doors: [
        { host: '127.0.0.61', port, tls: await authority.issue(['mx.good.postfix.example']) },
        { host: '127.0.0.62', port },
        { host: '127.0.0.63', port, tls: await authority.issue(['mx.elsewhere.example']) },
      ],
      relayhost: world.gateway().smtp[0] ?? assert.fail(),
    })
  })
  after(async () => {
    await postfix?.stop()
    await world?.close()
  })

  test('over verified TLS 8-bit octets, long lines, dots and odd header fields arrive octet by octet', async () => {
    const stored = await arrivesIntact(ends(), 'vera@good.postfix.example', ['tls', 'verified'], 5000)
    assert.match(stored.toString(), /using TLSv1\.3 with cipher/)
  })

  test('without TLS the message becomes a letter, and only the notice comes, in clear', async () => {
    const notice = await becomesLetter(ends(), 'max@plain.postfix.example', 'starttls-not-supported')
    assert.doesNotMatch(notice.toString(), /using TLSv/)
  })

  test('by a certificate for another name the message becomes a letter, and the notice comes over TLS', async () => {
    const notice = await becomesLetter(ends(), 'ida@wrong.postfix.example', 'certificate-host-mismatch')
    assert.match(notice.toString(), /using TLSv1\.[23] with cipher/)
  })

  test('as a client it hands us its mail over mandatory TLS, and it goes on octet by octet', async () => {
    const mail = delicate('from-postfix', 'vera@lab.example')
    await running().sendmail(
      ['-f', 'a@org.example', '-i', '-B', '8BITMIME', 'vera@lab.example'],
      Buffer.from(mail.toString('latin1').replaceAll('\r\n', '\n'), 'latin1'),
    )
    const arrived = await world.arrival(world.partners['lab.example'] ?? assert.fail(), ({ content }) =>
      content.includes('<from-postfix@org.example>'),
    )
    sameOctets(withoutTrace(arrived.content), mail)
    assert.match(arrived.content.toString(), /^Received: from postfix\.example \(\[127\.0\.0\.1\]\) by gate\.org\.example with ESMTPS\r\n/)
    assert.deepEqual(
      arrived.recipients.map(({ address }) => address),
      ['vera@lab.example'],
    )
    assert.match(running().log(), /relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, .*status=sent \(250 2\.0\.0 queued as/)
  })
})
