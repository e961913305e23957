/** DANE against zones that are signed here and validated by a real unbound on loopback: nothing of the product plays DNS. */
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { freePort } from '../../src/demo/ports.ts'
import type { Outcome } from '../../src/mail/outcome.ts'
import { createResolver, type Resolver } from '../../src/transport/dns.ts'
import { type Leaf, type Partner, selfSigned } from '../world/index.ts'
import { peer } from '../world/peers.ts'
import { openWorld, type SmallWorld, verified } from '../world/small-world.ts'
import { startUnbound, type Unbound } from './unbound.ts'

const skip = peer('unbound').skip || peer('ldns-signzone').skip

/** The digest of `usage 1 1` for a certificate. */
const spki = ({ cert }: Pick<Leaf, 'cert'>) =>
  createHash('sha256')
    .update(new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')

describe('unbound', { skip }, () => {
  let world: SmallWorld
  let unbound: Unbound | undefined
  let resolver: Resolver
  const partners = new Map<string, Partner>()
  const partner = (domain: string) => partners.get(domain) ?? assert.fail(domain)

  before(async () => {
    const port = await freePort('127.0.0.1')
    world = await openWorld({ 'dns.servers': [`127.0.0.1:${port}`] })
    const lines: { [zone: string]: string[] } = {}
    /** A domain with one host, in `zone`; `records` are its TLSA records. */
    const add = async (domain: string, tls: Leaf, records: readonly string[], zone = 'signed') => {
      const made = await world.bare({ tls, hostname: `mx.${domain}` })
      partners.set(domain, made)
      lines[zone] = [
        ...(lines[zone] ?? []),
        `${domain}. IN MX 10 mx.${domain}.`,
        `mx.${domain}. IN A ${made.host}`,
        ...records.map((record) => `_${world.port}._tcp.mx.${domain}. IN TLSA ${record}`),
      ]
    }
    const self = await selfSigned(['nobody.example'])
    await add('good.example', self, [`3 1 1 ${spki(self)}`])
    await add('anchored.example', await world.authority.issue(['mx.anchored.example']), [`2 1 1 ${spki({ cert: world.authority.cert })}`])
    await add('mismatch.example', await world.authority.issue(['mx.mismatch.example']), [`3 1 1 ${'ab'.repeat(32)}`])
    await add('unusable.example', await world.authority.issue(['mx.unusable.example']), [`1 1 1 ${'ab'.repeat(32)}`])
    await add('none.example', await world.authority.issue(['mx.none.example']), [])
    await add('forged-tlsa.example', self, [`3 1 1 ${'cd'.repeat(32)}`])
    await add('forged-mx.example', self, [`3 1 1 ${spki(self)}`])
    await add('insecure.example', await world.authority.issue(['mx.insecure.example']), [`3 1 1 ${'ab'.repeat(32)}`], 'insecure.example')
    const { signed = [], ...unsigned } = lines
    const forge = (line: string) => line.replace('cd'.repeat(32), spki(self)).replace(/^(forged-mx\.example\.\s.*\sMX\s+)10/, '$11')
    unbound = await startUnbound(port, { signed, unsigned, forge })
    resolver = createResolver({ servers: [`127.0.0.1:${port}`], clock: Date.now })
  })
  after(async () => {
    await unbound?.stop()
    await world?.close()
  })

  const brief = (outcome: Outcome) => ('reason' in outcome ? `${outcome.kind} ${outcome.reason}` : `${outcome.kind} ${outcome.assurance}`)

  test('its AD bit is believed: the signed root passes the self-test, an unsigned delegation stays unsigned', async () => {
    const secure = async (name: string, type: 'MX' | 'A') => {
      const look = await resolver.look(name, type)
      return look.kind === 'temporary' ? look.text : `${look.kind} ${look.secure}`
    }
    assert.equal(await secure('good.example', 'MX'), 'records true')
    assert.equal(await secure('good.example', 'A'), 'nodata true')
    assert.equal(await secure('nowhere.example', 'A'), 'nxdomain true')
    assert.equal(await secure('insecure.example', 'MX'), 'records false')
  })

  test('TLSA records come through it as they were published', async () => {
    const look = await resolver.look(`_${world.port}._tcp.mx.mismatch.example`, 'TLSA')
    assert.deepEqual(look.kind === 'records' && look.records, [
      { usage: 3, selector: 1, matching: 1, data: Buffer.from('ab'.repeat(32), 'hex') },
    ])
  })

  test('a self-signed certificate that the zone vouches for gets the message, as dane', async () => {
    const { first } = await world.ship('good.example', verified)
    assert.equal(brief(first), 'delivered dane', first.text)
    assert.equal(first.evidence.identity, 'dane')
    assert.equal(partner('good.example').mails[0]?.tls?.serverName, 'mx.good.example')
    assert.equal(brief((await world.ship('anchored.example', { kind: 'forced', level: 'dane' })).first), 'delivered dane')
  })

  test('a signed record for another key keeps the message, trusted certificate or not', async () => {
    const { first } = await world.ship('mismatch.example', verified)
    assert.equal(brief(first), 'deferred validation-failure', first.text)
    assert.equal(partner('mismatch.example').mails.length, 0)
  })

  test('signed records that nobody can use, a signed denial, and records of an unsigned zone leave the rule’s own level', async () => {
    for (const domain of ['unusable.example', 'none.example', 'insecure.example']) {
      const { first } = await world.ship(domain, verified)
      assert.equal(brief(first), 'delivered verified', `${domain}: ${first.text}`)
    }
  })

  test('forged records are bogus: the message waits and nobody is connected to, though the forgery would fit', async () => {
    for (const domain of ['forged-tlsa.example', 'forged-mx.example']) {
      const { first } = await world.ship(domain, verified)
      assert.equal(brief(first), 'deferred dnssec-invalid', first.text)
      assert.equal(partner(domain).connections(), 0)
    }
  })
})
