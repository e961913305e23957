/** Every condition of the language, and every step with its options, by real mail: one that meets it, and one that does not. */
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { createTransport, type SendMailOptions } from 'nodemailer'
import { generateKey } from 'openpgp'
import type { RecipientTrace } from '../../src/delivery/trace.ts'
import { methods } from '../../src/methods/index.ts'
import { importKey } from '../../src/methods/pgp/keys.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { conditionWords } from '../../src/routing/conditions.ts'
import { builtInNames } from '../../src/routing/detectors.ts'
import { traits } from '../../src/routing/policy.ts'
import { policyWords } from '../../src/routing/steps.ts'
import { sql } from '../../src/store/db.ts'
import { createUsers } from '../../src/submission/users.ts'
import { signedRoot } from '../world/index.ts'
import { startWorld, type World } from './world.ts'

const head = 'From: ann@org.example\r\nSubject: s\r\n'
const raw = (fields: string, body = 'hello\r\n'): SendMailOptions => ({ raw: `${head}${fields}\r\n${body}` })
const typed = (type: string, body = 'hello\r\n') => raw(`Content-Type: ${type}\r\n`, body)
const words = (text: string): SendMailOptions => ({ text })
const plain = words('hello')
const armour = '-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n-----END PGP MESSAGE-----\r\n'

/** Sent from another address of this machine. */
const elsewhere = words('from elsewhere')

type Case = {
  readonly of: string
  readonly when: string
  readonly met: SendMailOptions
  readonly other: SendMailOptions
  readonly otherTo?: string
}
const conditions: readonly Case[] = [
  { of: 'from', when: '{ from: group:staff }', met: plain, other: { envelope: { from: 'zoe@org.example', to: [] } } },
  {
    of: 'from',
    when: '{ from: org.example }',
    met: { ...plain, envelope: { from: '', to: [] } },
    other: { envelope: { from: 'x@a.org.example', to: [] } },
  },
  {
    of: 'header-from',
    when: '{ header-from: news@org.example }',
    met: { from: 'News <news@org.example>' },
    other: { sender: 'news@org.example' },
  },
  { of: 'to', when: '{ to: "*.lab.example" }', met: plain, other: plain, otherTo: 'lab.example' },
  { of: 'to', when: '{ to: group:labs }', met: plain, other: plain, otherTo: 'lab.example' },
  { of: 'subject-tag', when: '{ subject-tag: [secure] }', met: { subject: 'Re: [Secure] offer' }, other: { subject: 'it is secure' } },
  {
    of: 'is auto-submitted',
    when: '{ is: auto-submitted }',
    met: raw('Auto-Submitted: auto-replied\r\n'),
    other: raw('Auto-Submitted: no\r\n'),
  },
  {
    of: 'is dsn',
    when: '{ is: dsn }',
    met: typed('multipart/report; report-type=delivery-status; boundary=b', '--b\r\n\r\nx\r\n--b--\r\n'),
    other: typed('multipart/report; report-type=feedback-report; boundary=b', '--b\r\n\r\nx\r\n--b--\r\n'),
  },
  {
    of: 'is calendar',
    when: '{ is: calendar }',
    met: { icalEvent: { method: 'REQUEST', content: 'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n' } },
    other: words('BEGIN:VCALENDAR'),
  },
  {
    of: 'is signed',
    when: '{ is: signed }',
    met: typed(
      'multipart/signed; micalg=pgp-sha256; protocol="application/pgp-signature"; boundary=b',
      '--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\n',
    ),
    other: typed('multipart/mixed; boundary=b', '--b\r\n\r\nx\r\n--b--\r\n'),
  },
  { of: 'is encrypted', when: '{ is: encrypted }', met: typed('text/plain', armour), other: words(`see:\n${armour}`) },
  {
    of: 'is rights-managed',
    when: '{ is: rights-managed }',
    met: {
      text: 'protected',
      attachments: [{ filename: 'message.rpmsg', contentType: 'application/x-microsoft-rpmsg-message', content: 'x' }],
    },
    other: { text: 'protected', attachments: [{ filename: 'message.txt', content: 'x' }] },
  },
  {
    of: 'is forwarded',
    when: '{ is: forwarded }',
    met: raw('Resent-From: ann@org.example\r\n'),
    other: raw('Sender: ann@org.example\r\n'),
  },
  {
    of: 'header',
    when: '{ header: { Sensitivity: private } }',
    met: raw('Sensitivity: Private\r\n'),
    other: raw('Sensitivity: personal\r\n'),
  },
  {
    of: 'header',
    when: '{ header: { msip_labels: { contains: Secret } } }',
    met: raw('msip_labels: Name=Top Secret\r\n'),
    other: raw('msip_labels: Name=Public\r\n'),
  },
  { of: 'header', when: '{ header: { List-Id: { present: true } } }', met: raw('List-Id: <x.org.example>\r\n'), other: plain },
  { of: 'size', when: '{ size: { over: 20KiB } }', met: words('word '.repeat(6000)), other: plain },
  { of: 'size', when: '{ size: { under: 20KiB } }', met: plain, other: words('word '.repeat(6000)) },
  { of: 'detect payment-card', when: '{ detect: payment-card }', met: words('4111 1111 1111 1111'), other: words('4111 1111 1111 1112') },
  {
    of: 'detect iban',
    when: '{ detect: iban }',
    met: { html: '<p>DE89 3704 <b>0044</b> 0532 0130 00</p>' },
    other: words('DE89 3704 0044 0532 0130 01'),
  },
  { of: 'detect us-ssn', when: '{ detect: us-ssn }', met: { subject: '536-90-4399' }, other: words('536904399') },
  {
    of: 'detect medical-terms',
    when: '{ detect: medical-terms }',
    met: words('biopsy, insulin and dialysis'),
    other: words('biopsy and insulin'),
  },
  { of: 'detect own words', when: '{ detect: project-x }', met: words('on PROJECT X today'), other: words('on project xy') },
  { of: 'detect own patterns', when: '{ detect: case-number }', met: words('az-2026-00471'), other: words('az-2026-0047') },
  {
    of: 'detect in what cannot be read',
    when: '{ detect: project-x }',
    met: typed('text/plain\r\nContent-Transfer-Encoding: x-unknown'),
    other: typed('text/plain\r\nContent-Transfer-Encoding: 8bit'),
  },
  {
    of: 'authenticated-as',
    when: '{ authenticated-as: erp }',
    met: { auth: { user: 'erp', pass: 'correct horse battery' } } as never,
    other: plain,
  },
  { of: 'client', when: '{ client: 127.0.0.8/29 }', met: elsewhere, other: plain },
  { of: 'any', when: '{ any: [{ subject-tag: one }, { is: dsn }] }', met: { subject: '[one]' }, other: plain },
  {
    of: 'all',
    when: '{ all: [{ subject-tag: one }, { header-from: ann@org.example }] }',
    met: { subject: '[one]' },
    other: { subject: '[one]', from: 'zoe@org.example' },
  },
  { of: 'not', when: '{ not: { subject-tag: one } }', met: plain, other: { subject: '[one]' } },
]
const address = (index: number, domain = `c${index}.lab.example`) => `c${index}@${domain}`

const clear = '{ opportunistic: { i-understand: may travel unencrypted } }'
type StepCase = { readonly of: string; readonly deliver: string; readonly to: string; readonly became: string }
/** In the place of a fingerprint: that of the key of self.example. */
const itsKey = 'ITS-KEY'
/** Proven further elsewhere: dane by a validating resolver (test/peers/unbound.test.ts), hold in 17-policy-steps, on-… there and in 21-worlds. */
const steps: readonly StepCase[] = [
  { of: 'tls', deliver: '[tls]', to: 's1.lab.example', became: 'tls verified' },
  { of: 'tls level encrypted', deliver: '[{ tls: { level: encrypted } }, escrow]', to: 'self.example', became: 'tls encrypted' },
  { of: 'tls level authenticated', deliver: '[{ tls: { level: authenticated } }, escrow]', to: 's2.lab.example', became: 'escrow code' },
  { of: 'tls level authenticated', deliver: '[{ tls: { level: authenticated } }, escrow]', to: 'signed.example', became: 'tls dane' },
  { of: 'tls level dane', deliver: '[{ tls: { level: dane } }, escrow]', to: 's3.lab.example', became: 'escrow code' },
  { of: 'tls level dane', deliver: '[{ tls: { level: dane } }, escrow]', to: 'signed.example', became: 'tls dane' },
  {
    of: 'tls pin',
    deliver: `[{ tls: { level: pinned, pin: [${'ab'.repeat(32)}] } }, escrow]`,
    to: 's4.lab.example',
    became: 'escrow code',
  },
  { of: 'tls pin', deliver: `[{ tls: { level: pinned, pin: [${itsKey}] } }, escrow]`, to: 'self.example', became: 'tls pinned' },
  { of: 'tls min', deliver: '[{ tls: { min: 1.3 } }, escrow]', to: 'old.example', became: 'escrow code' },
  { of: 'tls min', deliver: '[{ tls: { min: 1.2 } }, escrow]', to: 'old.example', became: 'tls verified' },
  { of: 'tls patience', deliver: '[{ tls: { patience: 1s } }, escrow]', to: 'past.example', became: 'escrow code' },
  { of: 'pgp', deliver: '[pgp, escrow]', to: 'key.example', became: 'pgp' },
  { of: 'pgp trust', deliver: '[{ pgp: { trust: direct } }, escrow]', to: 'key.example', became: 'escrow code' },
  { of: 'smime', deliver: '[smime, escrow]', to: 's5.lab.example', became: 'escrow code' },
  { of: 'escrow', deliver: '[escrow]', to: 's6.lab.example', became: 'escrow code' },
  { of: 'escrow proof', deliver: '[{ escrow: { proof: link } }]', to: 's7.lab.example', became: 'escrow link' },
  { of: 'opportunistic', deliver: `[${clear}]`, to: 'bare.example', became: 'opportunistic none' },
  { of: 'hold', deliver: '[{ hold: { approvers: group:staff } }, tls]', to: 's8.lab.example', became: 'held' },
  { of: 'bounce', deliver: '[bounce]', to: 's9.lab.example', became: 'bounced' },
]

let world: World
before(async () => {
  const hosts = [...conditions.map((_, i) => `c${i}.lab.example`), ...steps.flatMap(({ to }) => (to.endsWith('lab.example') ? [to] : []))]
  world = await startWorld(
    {
      ...Object.fromEntries(['lab.example', ...hosts].map((name) => [name, {}])),
      'self.example': { certificate: 'self-signed' },
      'signed.example': { certificate: 'self-signed' },
      'bare.example': { certificate: 'none' },
      'key.example': { certificate: 'none' },
      'old.example': { manner: { secure: { maxVersion: 'TLSv1.2' } } },
      'past.example': { certificate: 'expired' },
    },
    { 'retry.schedule': [100, 200, 400], 'organisation.domains': ['org.example', 'a.org.example'] },
  )
  signZone('signed.example')
  await createUsers({ db: world.db, clock: systemClock, settings: world.settings }).add('erp', 'correct horse battery', 'test')
  const { publicKey } = await generateKey({ userIDs: steps.map((_, i) => ({ email: `s${i}@key.example` })), format: 'armored' })
  const asked = { trust: 'approved', source: 'test', replace: false, dryRun: false, now: Date.now() } as const
  assert.equal((await importKey(world.db, Buffer.from(publicKey), asked)).kind, 'imported')
  const own = (index: number) => `{ to: [${address(index)}, ${address(index, 'lab.example')}] }`
  const rules = [
    ...conditions.map(({ when }, i) => `  - { name: c${i}, when: { all: [${own(i)}, ${when}] }, deliver: [tls] }`),
    ...steps.map(
      ({ deliver, to }, i) =>
        `  - { name: s${i}, when: { to: s${i}@${to} }, deliver: ${deliver.replace(itsKey, keyOf('self.example').toString('hex'))} }`,
    ),
    '  - { name: nowhere, when: { any: [{ detect: [payment-card, iban, us-ssn, medical-terms, project-x, case-number] }] }, deliver: [tls] }',
  ]
  await world.applyPolicy(`version: 1
groups: { staff: [ann@org.example, bob@org.example], labs: [${conditions.map((_, i) => `c${i}.lab.example`).join(', ')}] }
detectors: { project-x: { words: [Project X] }, case-number: { patterns: ['\\bAZ-\\d{4}-\\d{5}\\b'] } }
rules:
${rules.join('\n')}
default: { deliver: [tls] }
`)
})
after(() => world?.close())

/** SHA-256 of the public key that a domain's host shows. */
const keyOf = (domain: string): Buffer =>
  createHash('sha256')
    .update(new X509Certificate(world.certificates[domain]?.cert ?? '').publicKey.export({ type: 'spki', format: 'der' }))
    .digest()

/** Its zone is signed, and vouches for the key of its host (RFC 7672: usage 3, selector 1, matching 1). */
function signZone(domain: string): void {
  const { dns, partners, settings } = world
  const host = `mx.${domain}`
  dns.set('.', signedRoot)
  dns.set(domain, { records: [{ type: 'MX', data: { preference: 10, exchange: host } }], secure: true })
  dns.set(host, { records: [{ type: 'A', data: partners[domain]?.host ?? '' }], secure: true })
  const record = Buffer.concat([Buffer.from([3, 1, 1]), keyOf(domain)])
  dns.set(`_${settings['delivery.port']}._tcp.${host}`, { records: [{ type: 'TLSA', data: record }], secure: true })
}

/** The recipient's row once it was tried. */
async function sent(mail: SendMailOptions, to: string): Promise<RecipientTrace> {
  const { envelope, ...more } = mail
  const from = envelope && 'from' in envelope ? String(envelope.from) : 'ann@org.example'
  const whole = { from: 'ann@org.example', to, subject: 's', ...more, envelope: { from, to } }
  const { recipients } = await world.settled(await (mail === elsewhere ? sendFrom('127.0.0.9', whole) : world.send(whole)))
  return recipients[0] ?? assert.fail()
}

async function sendFrom(localAddress: string, mail: SendMailOptions): Promise<string> {
  const at = world.gateway().smtp[0]
  const client = createTransport({ host: at?.host, port: at?.port, tls: { rejectUnauthorized: false }, ...{ localAddress } })
  const { response } = await client.sendMail(mail)
  client.close()
  return /queued as (\S+)/.exec(response)?.[1] ?? assert.fail(response)
}

describe('a condition by real mail', () => {
  test('is here for every word, every trait and every detector', () => {
    const shown = conditions.map(({ of }) => of)
    for (const word of conditionWords)
      assert.ok(
        shown.some((of) => of.split(' ')[0] === word),
        word,
      )
    for (const trait of traits) assert.ok(shown.includes(`is ${trait}`), trait)
    for (const name of builtInNames) assert.ok(shown.includes(`detect ${name}`), name)
  })
  for (const [i, { of, when, met, other, otherTo }] of conditions.entries())
    test(`${of}: ${when} decides on mail that meets it, and on no other`, async () => {
      const [one, another] = await Promise.all([sent(met, address(i)), sent(other, address(i, otherTo))])
      assert.equal(one.rule, `c${i}`)
      assert.notEqual(another.rule, `c${i}`)
    })
})

describe('a step by real mail', () => {
  test('is here for every word', () => {
    const shown = steps.map(({ of }) => of.split(' ')[0])
    for (const word of policyWords(methods)) assert.ok(shown.includes(word), word)
  })
  for (const [i, { of, deliver, to, became }] of steps.entries())
    test(`${of}: ${deliver.replace(/(?:ab)+(?=\])/, '…')} becomes ${became}`, async () => {
      const { rule, state, method, assurance, proof } = await sent(plain, `s${i}@${to}`)
      const word =
        state === 'held' || state === 'bounced'
          ? state
          : [method, method === 'escrow' ? proof : assurance].filter((one) => one !== null).join(' ')
      assert.deepEqual([rule, method === 'pgp' ? method : word], [`s${i}`, became])
    })

  test('escrow takes the life, the subject and the languages of its rule', async () => {
    await world.applyPolicy('version: 1\ndefault: { deliver: [{ escrow: { expires: 2d, subject: original, languages: [de, en] } }] }\n')
    const id = await world.send({ from: 'ann@org.example', to: 'max@lab.example', subject: 'Kanarienbetreff', text: 'x' })
    await world.settled(id)
    const [letter] = await world.db.read<{ language: string; expires_at: number; created_at: number }>(
      sql`SELECT language, expires_at, created_at FROM letter WHERE message = ${id}`,
    )
    assert.deepEqual([letter?.language, (letter?.expires_at ?? 0) - (letter?.created_at ?? 0)], ['de,en', 2 * 86_400_000])
    const notice = await world.arrival(world.partners['lab.example'] ?? assert.fail(), ({ content }) => content.includes('Kanarienbetreff'))
    assert.ok(notice.recipients.some(({ address }) => address === 'max@lab.example'))
  })
})
