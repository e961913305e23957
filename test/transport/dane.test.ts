/** Certificates and TLSA records, real ones, and what they prove together. */
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import * as x509 from '@peculiar/x509'
import fc from 'fast-check'
import { pathLength, subjectPublicKeyInfo } from '../../src/transport/certificate-parts.ts'
import { judgeDane } from '../../src/transport/dane.ts'
import { hideTlsa, readTlsa, type Tlsa, tlsaText, usableTlsa } from '../../src/transport/tlsa.ts'
import { createAuthority, selfSigned } from '../world/index.ts'

const now = Date.now()
const days = 24 * 60 * 60 * 1000
const host = 'mx.a.example'
const pems = (text: string) =>
  (text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((pem) => new X509Certificate(pem))
const ders = (text: string) => pems(text).map(({ raw }) => raw)

/** A record for a certificate, by its own account of usage, selector and matching type. */
function record(usage: number, selector: number, matching: number, certificate: X509Certificate | undefined): Tlsa {
  if (!certificate) throw new Error('no certificate')
  const whole = selector === 0 ? certificate.raw : certificate.publicKey.export({ type: 'spki', format: 'der' })
  const data =
    matching === 0
      ? whole
      : createHash(matching === 1 ? 'sha256' : 'sha512')
          .update(whole)
          .digest()
  return { usage, selector, matching, data }
}
const judge = (chain: readonly Buffer[], records: readonly Tlsa[], names = [host], at = now) => judgeDane(chain, records, names, at)
const rowOf = (verdict: ReturnType<typeof judge>) => (verdict.kind === 'mismatch' ? verdict.row : verdict.kind)

const root = await createAuthority('Root')
const middle = await root.below('Middle')
const low = await middle.below('Low')
const leaf = await low.issue([host])
const [own, lowCert, middleCert] = pems(leaf.cert)
const [rootCert] = pems(root.cert)
const chain = ders(leaf.cert)
const stranger = pems((await createAuthority('Stranger')).cert)[0]

const forms = [0, 1].flatMap((selector) => [0, 1, 2].map((matching) => [selector, matching] as const))

for (const [selector, matching] of forms) {
  test(`3 ${selector} ${matching}: the server's own certificate is found, whatever its name, dates and issuer`, async () => {
    const stale = await selfSigned(['elsewhere.example'], { notBefore: new Date(now - 9 * days), notAfter: new Date(now - 3 * days) })
    const right = record(3, selector, matching, pems(stale.cert)[0])
    assert.equal(rowOf(judge(ders(stale.cert), [right])), 'match')
    assert.equal(rowOf(judge(chain, [right])), 'tlsa-mismatch')
  })

  test(`2 ${selector} ${matching}: each authority of the chain can be the anchor, in whatever order it was sent`, () => {
    const sent = [...chain, rootCert?.raw ?? Buffer.alloc(0)]
    const reversed = [sent[0] ?? Buffer.alloc(0), ...sent.slice(1).reverse()]
    for (const anchor of [lowCert, middleCert, rootCert]) {
      for (const order of [sent, reversed]) assert.equal(rowOf(judge(order, [record(2, selector, matching, anchor)])), 'match')
    }
    assert.equal(rowOf(judge(sent, [record(2, selector, matching, stranger)])), 'tlsa-mismatch')
  })
}

test('an anchor that the record holds whole, as certificate or as bare key, need not be sent', () => {
  for (const selector of [0, 1]) {
    assert.equal(rowOf(judge(chain, [record(2, selector, 0, rootCert)])), 'match')
    assert.equal(rowOf(judge(chain.slice(0, 1), [record(2, selector, 0, lowCert)])), 'match')
    assert.equal(rowOf(judge(chain.slice(0, 1), [record(2, selector, 0, rootCert)])), 'tlsa-mismatch')
  }
  assert.equal(rowOf(judge(chain.slice(0, 1), [record(2, 1, 1, lowCert)])), 'tlsa-mismatch', 'a digest is no certificate')
})

test('an anchor that was sent but signed nothing here proves nothing', () => {
  const verdict = judge([...chain, stranger?.raw ?? Buffer.alloc(0)], [record(2, 0, 1, stranger)])
  assert.equal(rowOf(verdict), 'not-trusted')
})

test('a record of usage 2 for the server’s own certificate does not match, self-signed or not, sent twice or not', async () => {
  assert.equal(rowOf(judge(chain, [record(2, 1, 1, own)])), 'tlsa-mismatch')
  const alone = await selfSigned([host])
  const [self] = pems(alone.cert)
  assert.equal(rowOf(judge([...ders(alone.cert), ...ders(alone.cert)], [record(2, 1, 1, self)])), 'tlsa-mismatch')
})

test('under an anchor the name must be one of those given; common names do not count', async () => {
  const anchor = record(2, 1, 1, lowCert)
  assert.equal(rowOf(judge(chain, [anchor], ['mx.b.example'])), 'name-mismatch')
  assert.equal(rowOf(judge(chain, [anchor], ['mx.b.example', host])), 'match')
  const bare = await low.issue([host], { san: false })
  assert.equal(rowOf(judge(ders(bare.cert), [anchor])), 'name-mismatch')
  const star = await low.issue(['*.a.example'])
  assert.equal(rowOf(judge(ders(star.cert), [anchor])), 'match')
  assert.equal(rowOf(judge(ders(star.cert), [anchor], ['x.mx.a.example'])), 'name-mismatch')
})

test('under an anchor every certificate of the path must be in date, the anchor too', async () => {
  const anchor = record(2, 1, 1, lowCert)
  for (const dates of [{ notAfter: new Date(now - days) }, { notBefore: new Date(now + days) }]) {
    const late = await low.issue([host], { notBefore: new Date(now - 9 * days), ...dates })
    assert.equal(rowOf(judge(ders(late.cert), [anchor])), 'expired')
  }
  assert.equal(rowOf(judge(chain, [anchor], [host], now + 4000 * days)), 'expired')
})

test('one matching record among others is enough, and the text of none says which there were', () => {
  const others = [record(3, 1, 1, stranger), record(2, 0, 1, stranger)]
  assert.equal(rowOf(judge(chain, [...others, record(3, 1, 1, own)])), 'match')
  assert.equal(rowOf(judge(chain, [...others, record(2, 1, 1, middleCert)])), 'match')
  const verdict = judge(chain, [record(3, 1, 1, stranger)])
  assert.ok(verdict.kind === 'mismatch' && verdict.text.includes(tlsaText(record(3, 1, 1, stranger))))
})

test('of two digests only the stronger counts, per usage and selector', () => {
  assert.equal(rowOf(judge(chain, [record(3, 1, 1, own), record(3, 1, 2, stranger)])), 'tlsa-mismatch')
  assert.equal(rowOf(judge(chain, [record(3, 1, 1, own), record(3, 0, 2, stranger)])), 'match')
  assert.equal(rowOf(judge(chain, [record(3, 1, 0, own), record(3, 1, 2, stranger)])), 'match')
})

test('records that SMTP cannot use are none: PKIX usages, unknown numbers, wrong lengths, nonsense', () => {
  const good = record(3, 1, 1, own)
  const bad: Tlsa[] = [
    { ...good, usage: 0 },
    { ...good, usage: 1 },
    { ...good, usage: 4 },
    { ...good, selector: 2 },
    { ...good, matching: 3 },
    { ...good, data: good.data.subarray(1) },
    { ...good, matching: 2 },
    { ...good, data: Buffer.alloc(0) },
    { ...good, matching: 0 },
    { ...good, selector: 0, matching: 0 },
    readTlsa(Buffer.from([3])),
    readTlsa(Buffer.alloc(0)),
  ]
  for (const one of bad) assert.deepEqual(usableTlsa([one]), [], tlsaText(one))
  assert.deepEqual(judge(chain, bad), { kind: 'unusable' })
  assert.deepEqual(judge(chain, []), { kind: 'unusable' })
  assert.equal(rowOf(judge(chain, [...bad, good])), 'match')
})

// RFC 5280: authorities with their limits, made by hand.
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
type Made = { readonly name: string; readonly keys: CryptoKeyPair; readonly cert: x509.X509Certificate }
let serial = 1
async function make(name: string, issuer: Made | undefined, extensions: x509.Extension[], hash = 'SHA-256'): Promise<Made> {
  const keys = (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as CryptoKeyPair
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: `0${serial++ % 10}${'ab'.repeat(4)}`,
    subject: `CN=${name}`,
    issuer: `CN=${issuer?.name ?? name}`,
    notBefore: new Date(now - days),
    notAfter: new Date(now + days),
    publicKey: keys.publicKey,
    signingKey: (issuer ?? { keys }).keys.privateKey,
    signingAlgorithm: { ...algorithm, hash },
    extensions,
  })
  return { name, keys, cert }
}
const ca = (pathLength?: number) => [
  new x509.BasicConstraintsExtension(true, pathLength, true),
  new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
]
const server = [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: host }])]
const raws = (...made: Made[]) => made.map(({ cert }) => Buffer.from(cert.rawData))
const anchorOf = ({ cert }: Made) => record(2, 0, 1, new X509Certificate(Buffer.from(cert.rawData)))

test('the path length that an authority sets is kept to', async () => {
  for (const [limit, expected] of [
    [undefined, 'match'],
    [1, 'match'],
    [0, 'not-trusted'],
  ] as const) {
    const top = await make('Top', undefined, ca(limit))
    const between = await make('Between', top, ca())
    const end = await make(host, between, server)
    assert.equal(rowOf(judge(raws(end, top, between), [anchorOf(top)])), expected, String(limit))
    assert.equal(pathLength(new X509Certificate(Buffer.from(top.cert.rawData))), limit)
  }
})

test('whoever is no authority signs nothing: neither without the CA bit nor with another key usage', async () => {
  const top = await make('Top', undefined, ca())
  const kinds: x509.Extension[][] = [
    [],
    [new x509.BasicConstraintsExtension(false, undefined, true)],
    [new x509.BasicConstraintsExtension(true, undefined, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true)],
  ]
  for (const extensions of kinds) {
    const impostor = await make('impostor.example', top, extensions)
    const end = await make(host, impostor, server)
    assert.equal(rowOf(judge(raws(end, impostor, top), [anchorOf(top)])), 'not-trusted')
  }
})

test('a critical condition that we cannot judge, SHA-1, and a certificate not for servers are refused', async () => {
  const top = await make('Top', undefined, ca())
  const strict = await make(host, top, [...server, new x509.Extension('1.2.3.4', true, Buffer.from([5, 0]))])
  assert.equal(rowOf(judge(raws(strict, top), [anchorOf(top)])), 'not-trusted')
  const lax = await make(host, top, [...server, new x509.Extension('1.2.3.4', false, Buffer.from([5, 0]))])
  assert.equal(rowOf(judge(raws(lax, top), [anchorOf(top)])), 'match')
  const weak = await make(host, top, server, 'SHA-1')
  assert.equal(rowOf(judge(raws(weak, top), [anchorOf(top)])), 'not-trusted')
  const mailOnly = await make(host, top, [...server, new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.4'])])
  assert.equal(rowOf(judge(raws(mailOnly, top), [anchorOf(top)])), 'not-trusted')
})

test('authorities of one name that sign each other end in bounded time', async () => {
  const keys = await Promise.all(Array.from({ length: 9 }, () => make('Same', undefined, ca())))
  const crossed = await Promise.all(
    keys.slice(1).map(async (subject, i) => {
      const cert = await x509.X509CertificateGenerator.create({
        serialNumber: `0${i}cd`,
        subject: 'CN=Same',
        issuer: 'CN=Same',
        notBefore: new Date(now - days),
        notAfter: new Date(now + days),
        publicKey: subject.keys.publicKey,
        signingKey: (keys[i] ?? subject).keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: ca(),
      })
      return { ...subject, cert }
    }),
  )
  const end = await make(host, keys[8], server)
  const started = Date.now()
  assert.equal(rowOf(judge(raws(end, ...keys, ...crossed), [record(2, 0, 1, stranger)])), 'tlsa-mismatch')
  assert.ok(Date.now() - started < 5000)
})

test('the public key is taken from the certificate as it stands there', () => {
  for (const one of [own, lowCert, rootCert]) {
    assert.deepEqual(one && subjectPublicKeyInfo(one), one?.publicKey.export({ type: 'spki', format: 'der' }))
  }
})

test('no octets make reading throw: neither as a chain, nor as records, nor as a DNS message', () => {
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))
  fc.assert(
    fc.property(fc.array(bytes), fc.array(bytes), bytes, (certificates, rdata, message) => {
      judge([...certificates, ...chain], rdata.map(readTlsa))
      hideTlsa(message)
    }),
  )
})

test('a certificate with a bit turned never matches under an anchor, and never throws', () => {
  const anchor = record(2, 1, 1, rootCert)
  fc.assert(
    fc.property(fc.nat({ max: (chain[0]?.length ?? 1) - 1 }), fc.integer({ min: 0, max: 7 }), (at, bit) => {
      const turned = Buffer.from(chain[0] ?? [])
      turned[at] = (turned[at] ?? 0) ^ (1 << bit)
      assert.notEqual(rowOf(judge([turned, ...chain.slice(1), rootCert?.raw ?? Buffer.alloc(0)], [anchor])), 'match')
    }),
  )
})
