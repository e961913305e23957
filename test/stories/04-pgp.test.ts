import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { importKey } from '../../src/methods/pgp/keys.ts'
import { peer } from '../world/peers.ts'
import { startWorld, type World } from './world.ts'

const gpg = peer('gpg')
let world: World
let home: string

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'gpg-'))
  world = await startWorld({ 'press.example': { certificate: 'none' } })
})
after(async () => {
  await world?.close()
  await rm(home, { recursive: true, force: true })
})

const run = (args: string[], input?: Buffer): Buffer =>
  execFileSync('gpg', ['--homedir', home, '--batch', '--quiet', '--trust-model', 'always', ...args], {
    ...(input && { input }),
    stdio: ['pipe', 'pipe', 'ignore'],
  })

test('a recipient without TLS but with a key gets PGP/MIME, and gpg gives back the original part byte for byte', gpg, async () => {
  for (const address of ['pia@press.example', 'secret@press.example']) {
    run(['--passphrase', '', '--quick-generate-key', `Somebody <${address}>`, 'default', 'default', 'never'])
    const imported = await importKey(world.db, run(['--export', address]), {
      trust: 'approved',
      source: 'test',
      replace: false,
      dryRun: false,
      now: Date.now(),
    })
    assert.equal(imported.kind, 'imported')
  }
  const body =
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße, alles gut.\r\n--b\r\nContent-Type: text/csv; name=v.csv\r\nContent-Disposition: attachment; filename=v.csv\r\n\r\na,b\r\n--b--\r\n'
  const raw = `From: Anna <a@org.example>\r\nTo: pia@press.example\r\nSubject: The secret subject\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <pgp-1@org.example>\r\nMIME-Version: 1.0\r\n${body}`
  const id = await world.send({ envelope: { from: 'a@org.example', to: ['pia@press.example', 'secret@press.example'] }, raw })
  const { recipients } = await world.settled(id)
  assert.deepEqual(
    recipients.map(({ state, method, reason }) => [state, method, reason]),
    [
      ['delivered', 'pgp', 'starttls-not-supported'],
      ['delivered', 'pgp', 'starttls-not-supported'],
    ],
  )

  const partner = world.partners['press.example'] ?? assert.fail()
  const arrived = await world.arrival(partner, ({ recipients: to }) => to[0]?.address === 'pia@press.example')
  const text = arrived.content.toString()
  assert.doesNotMatch(text, /secret subject|alles gut|secret@press/)
  assert.match(text, /^Subject: \.\.\./m)
  assert.match(text, /protocol="?application\/pgp-encrypted/)
  const armored = /-----BEGIN PGP MESSAGE-----[\s\S]*-----END PGP MESSAGE-----/.exec(text)?.[0] ?? assert.fail()
  const opened = run(['--decrypt'], Buffer.from(armored)).toString()
  assert.match(opened, /^Subject: The secret subject\r$/m)
  assert.ok(opened.endsWith(body.slice(body.indexOf('\r\n\r\n'))), 'the body of the part is the original one')
  assert.equal(partner.mails.length, 2, 'the Bcc recipient got a message of its own')
})
