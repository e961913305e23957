/** OpenSMTPD as the server that our mail goes to. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startWorld, type World } from '../stories/world.ts'
import { needsRoot } from './daemon.ts'
import { arrivesIntact, becomesLetter, pointTo, trustedAuthority } from './mails.ts'
import { type OpenSmtpd, startOpenSmtpd, unpackedOpenSmtpd } from './opensmtpd.ts'

const missing = 'OpenSMTPD is not unpacked (see .ci/run: it cannot be installed beside Postfix)'
const skip = (unpackedOpenSmtpd() === undefined && process.env.CI !== 'true' ? missing : false) || needsRoot('OpenSMTPD')

const policy = `version: 1
rules:
  - name: clear
    when: { to: clear.bsd.example }
    deliver: [{ opportunistic: { i-understand: may travel unencrypted } }]
default:
  deliver: [tls, escrow]
`

describe('OpenSMTPD', { skip }, () => {
  let world: World
  let server: OpenSmtpd | undefined
  const running = () => server ?? assert.fail('OpenSMTPD does not run')
  const ends = () => ({ world, maildir: running().maildir })
  before(async () => {
    world = await startWorld({})
    const authority = await trustedAuthority(world)
    const port = world.settings['delivery.port']
    const at = { 'plain.bsd.example': '127.0.0.72', 'broken.bsd.example': '127.0.0.73', 'clear.bsd.example': '127.0.0.72' }
    pointTo(world, at)
    server = await startOpenSmtpd(unpackedOpenSmtpd() ?? assert.fail(missing), Object.keys(at), [
      { host: '127.0.0.72', port, hostname: 'mx.plain.bsd.example' },
      { host: '127.0.0.73', port, hostname: 'mx.broken.bsd.example', tls: await authority.issue(['mx.broken.bsd.example']) },
    ])
    await world.applyPolicy(policy)
  })
  after(async () => {
    await server?.stop()
    await world?.close()
  })

  test('in clear, where a rule allows it, 8-bit octets, long lines, dots and odd header fields arrive octet by octet', async () => {
    await arrivesIntact(ends(), 'vera@clear.bsd.example', ['opportunistic', 'none'], 1500)
  })

  test('without TLS the message becomes a letter, and only the notice comes, in clear', async () => {
    const notice = await becomesLetter(ends(), 'max@plain.bsd.example', 'starttls-not-supported')
    assert.doesNotMatch(notice.toString(), /TLSv1/)
  })

  // Debian's 6.8 with OpenSSL 3 offers STARTTLS and breaks every handshake (OpenSMTPD issues 1171, 1239): a mishap of real life.
  test('where its TLS is broken the message waits, then becomes a letter, and the notice comes in clear after all', async () => {
    const notice = await becomesLetter(ends(), 'ida@broken.bsd.example', 'validation-failure')
    assert.doesNotMatch(notice.toString(), /TLSv1/)
  })
})
