/** The first certificate: kept, renewed, and good enough for a TLS handshake. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect, createServer } from 'node:tls'
import { firstCertificate } from '../../src/ops/certificate.ts'

const parent = mkdtempSync(join(tmpdir(), 'certificate-'))
after(() => rmSync(parent, { recursive: true }))
const folder = (name: string): string => join(parent, name)

test('a TLS client that trusts it connects by its host name', async () => {
  const { cert, key } = await firstCertificate(folder('tls'), 'gate.example')
  const server = createServer({ cert, key }, (socket) => socket.end('hello')).listen(0, '127.0.0.1')
  await new Promise((ready) => server.once('listening', ready))
  const { port } = server.address() as AddressInfo
  const heard = await new Promise<string>((done, failed) => {
    const client = connect({ host: '127.0.0.1', port, servername: 'gate.example', ca: cert })
    client.once('data', (bytes) => done(bytes.toString()))
    client.once('error', failed)
  })
  server.close()
  assert.equal(heard, 'hello')
})

test('the same certificate is given the second time', async () => {
  const first = await firstCertificate(folder('again'), 'gate.example')
  assert.deepEqual(await firstCertificate(folder('again'), 'gate.example'), first)
})

test('only the owner may read the key', async () => {
  await firstCertificate(folder('mode'), 'gate.example')
  assert.equal(statSync(join(folder('mode'), 'smtp-self-signed.key')).mode & 0o777, 0o600)
  assert.equal(statSync(folder('mode')).mode & 0o777, 0o700)
})

test('a new one is made when the old one expires within 30 days', async () => {
  const first = await firstCertificate(folder('expiry'), 'gate.example')
  const ends = Date.parse(new X509Certificate(first.cert).validTo)
  const day = 86_400_000
  assert.deepEqual(await firstCertificate(folder('expiry'), 'gate.example', ends - 31 * day), first)
  const later = await firstCertificate(folder('expiry'), 'gate.example', ends - 29 * day)
  assert.notEqual(later.cert, first.cert)
  assert.ok(Date.parse(new X509Certificate(later.cert).validTo) > ends)
})

test('a new one is made for another host name', async () => {
  const first = await firstCertificate(folder('name'), 'gate.example')
  const second = await firstCertificate(folder('name'), 'other.example')
  assert.notEqual(second.cert, first.cert)
  assert.equal(new X509Certificate(second.cert).subjectAltName, 'DNS:other.example')
})

test('a damaged file, or a key of another certificate, is replaced', async () => {
  const first = await firstCertificate(folder('damaged'), 'gate.example')
  writeFileSync(join(folder('damaged'), 'smtp-self-signed.pem'), 'not a certificate')
  const second = await firstCertificate(folder('damaged'), 'gate.example')
  assert.notEqual(second.cert, first.cert)
  writeFileSync(join(folder('damaged'), 'smtp-self-signed.key'), first.key)
  const third = await firstCertificate(folder('damaged'), 'gate.example')
  assert.notEqual(third.cert, second.cert)
})
