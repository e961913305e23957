import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { listLetters, listQueue } from '../../src/delivery/trace.ts'
import { methods } from '../../src/methods/index.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { pathOf } from '../../src/ops/settings.ts'
import { readExplanations } from '../../src/routing/explanations.ts'
import { policyStore } from '../../src/routing/store.ts'
import { openSigner } from '../../src/seal/signer.ts'
import { startWorld, type World } from './world.ts'

let world: World
before(async () => {
  world = await startWorld({
    'lab.example': {},
    'town.example': { certificate: 'none' },
    'diy.example': { certificate: 'self-signed' },
    'wrong.example': { certificate: 'wrong-name' },
    'late.example': { certificate: 'expired' },
    'picky.example': {
      manner: { script: (verb, line) => (verb === 'RCPT' && line.includes('nobody@') ? '550 5.1.1 no such user here' : undefined) },
    },
    'down.example': { manner: { script: (verb) => (verb === 'CONNECT' ? '421 4.3.2 closed for today' : undefined) } },
  })
})
after(() => world?.close())

const mail = (to: string | string[], more: object = {}) => ({
  from: 'Anna <a@org.example>',
  to,
  subject: 'Results',
  text: 'All is well.\r\n.dot\r\n',
  ...more,
})
const only = async (id: string) => {
  const { recipients } = await world.settled(id)
  assert.equal(recipients.length, 1)
  return recipients[0] ?? assert.fail()
}
const explain = async (id: string, to?: string) => {
  const policies = policyStore({
    db: world.db,
    clock: systemClock,
    methods,
    signer: await openSigner(pathOf(world.settings.keys)),
    settings: world.settings,
  })
  const [explanation] = await readExplanations({ db: world.db, policies }, id, to)
  return explanation ?? assert.fail('no explanation')
}

test('a recipient whose server has a good certificate gets the message over verified TLS, envelope and all', async () => {
  const id = await world.send(mail('vera@lab.example'))
  const recipient = await only(id)
  assert.deepEqual([recipient.state, recipient.method, recipient.assurance, recipient.rule], ['delivered', 'tls', 'verified', 'default'])
  const partner = world.partners['lab.example'] ?? assert.fail()
  const arrived = await world.arrival(partner)
  assert.equal(arrived.from, 'a@org.example')
  assert.match(arrived.tls?.protocol ?? '', /^TLSv1\.[23]$/)
  assert.match(arrived.content.toString(), /^Received: from .*\r\n/)
  assert.match(arrived.content.toString(), /\r\n\.dot\r\n$/)
  assert.doesNotMatch(partner.clear().toString('latin1'), /MAIL|RCPT|a@org\.example|All is well/)
})

for (const [domain, reason] of [
  ['town.example', 'starttls-not-supported'],
  ['diy.example', 'certificate-not-trusted'],
  ['wrong.example', 'certificate-host-mismatch'],
] as const)
  test(`${domain}: ${reason}, so the message becomes a letter and explain says why`, async () => {
    const id = await world.send(mail(`max@${domain}`))
    const recipient = await only(id)
    assert.deepEqual([recipient.state, recipient.method, recipient.reason], ['letter-notified', 'escrow', reason])
    const explained = await explain(id)
    assert.deepEqual(
      explained.steps.map(({ method, result, reason: why }) => [method, result, why]),
      [
        ['tls', 'unsuitable', reason],
        ['pgp', 'unsuitable', 'no-key'],
        ['smime', 'unsuitable', 'no-certificate'],
        ['escrow', 'delivered', null],
      ],
    )
    assert.ok(explained.wouldBe.some(({ method }) => method === 'tls'))
    const partner = world.partners[domain] ?? assert.fail()
    const notice = await world.arrival(partner)
    assert.match(notice.content.toString(), /http:\/\/localhost:\d+\/m\/[0-9a-z]{32}/)
    assert.doesNotMatch(notice.content.toString(), /All is well|Results/)
  })

test('an expired certificate is given its patience, then the message becomes a letter', async () => {
  const id = await world.send(mail('emil@late.example'))
  const waiting = await world.settled(id, ({ recipients }) => recipients[0]?.attempts === 1)
  assert.deepEqual([waiting.recipients[0]?.state, waiting.recipients[0]?.reason], ['waiting', 'certificate-expired'])
  assert.match((await listQueue(world.db)).find(({ message }) => message === id)?.lastReply ?? '', /expired/)
  assert.equal((await only(id)).state, 'letter-notified')
})

test('two recipients of one message go different ways', async () => {
  const id = await world.send(mail(['vera@lab.example', 'max@town.example']))
  const { recipients } = await world.settled(id)
  assert.deepEqual(
    recipients.map(({ to, state, method }) => [to, state, method]),
    [
      ['vera@lab.example', 'delivered', 'tls'],
      ['max@town.example', 'letter-notified', 'escrow'],
    ],
  )
})

test('one good and one refused recipient of a domain: one delivered, one returned to the sender with the reply', async () => {
  const id = await world.send(mail(['some@picky.example', 'nobody@picky.example'], { subject: 'Two of you' }))
  const { recipients } = await world.settled(id)
  assert.deepEqual(
    recipients.map(({ to, state, reason }) => [to, state, reason]),
    [
      ['some@picky.example', 'delivered', null],
      ['nobody@picky.example', 'bounced', 'recipient-refused'],
    ],
  )
  const report = await world.arrival(world.own, ({ content }) => content.includes('nobody@picky.example'))
  assert.equal(report.from, '')
  assert.deepEqual(
    report.recipients.map(({ address }) => address),
    ['a@org.example'],
  )
  assert.match(report.content.toString(), /Final-Recipient: rfc822; ?nobody@picky\.example/)
  assert.match(report.content.toString(), /550 5\.1\.1 no such user here/)
  assert.doesNotMatch(report.content.toString(), /All is well/)
})

test('a domain that does not exist is returned at once', async () => {
  const id = await world.send(mail('nora@nowhere.example'))
  const recipient = await only(id)
  assert.deepEqual([recipient.state, recipient.reason], ['bounced', 'domain-not-found'])
  await world.arrival(world.own, ({ content }) => content.includes('nora@nowhere.example'))
})

test('an unreachable next hop makes the message wait, never fall back, with the reason in the queue', async () => {
  const id = await world.send(mail('ulf@down.example'))
  const { recipients } = await world.settled(id, (message) => (message.recipients[0]?.attempts ?? 0) >= 2)
  assert.deepEqual([recipients[0]?.state, recipients[0]?.reason], ['waiting', 'remote-temporary'])
  assert.match((await listQueue(world.db)).find(({ message }) => message === id)?.lastReply ?? '', /closed for today/)
})

test('one message as letters to two recipients has one payload and two letters, and Bcc stays hidden', async () => {
  const id = await world.send(mail(['eva@town.example'], { bcc: 'ada@diy.example', subject: 'For two' }))
  const { recipients } = await world.settled(id)
  assert.deepEqual(
    recipients.map(({ state }) => state),
    ['letter-notified', 'letter-notified'],
  )
  const [{ payloads, headers } = { payloads: 0, headers: 0 }] = await world.db.read<{ payloads: number; headers: number }>({
    text: `SELECT (SELECT COUNT(*) FROM content WHERE message = $1) AS payloads,
      (SELECT COUNT(*) FROM letter_header JOIN letter ON letter.id = letter_header.letter WHERE letter.message = $1) AS headers`,
    values: [id],
  })
  assert.deepEqual({ payloads, headers }, { payloads: 1, headers: 2 })
  const letters = (await listLetters(world.db)).filter(({ to }) => to === 'eva@town.example' || to === 'ada@diy.example')
  assert.equal(new Set(letters.map(({ reference }) => reference)).size, letters.length)
})

test('an out-of-office answer with a null reverse-path is judged by its From and never becomes a letter', async () => {
  const id = await world.send(
    mail('max@town.example', {
      envelope: { from: '', to: ['max@town.example'] },
      headers: { 'Auto-Submitted': 'auto-replied' },
      subject: 'Away',
    }),
  )
  const recipient = await only(id)
  assert.deepEqual([recipient.state, recipient.method, recipient.rule], ['delivered', 'opportunistic', 'automatic-mail'])
})

test('a rule that says bounce returns the message with the rule in explain', async () => {
  await world.applyPolicy(
    'version: 1\nrules:\n  - name: never-there\n    when: { to: town.example }\n    deliver: [bounce]\ndefault:\n  deliver: [tls, escrow]\n',
  )
  const id = await world.send(mail('max@town.example'))
  const recipient = await only(id)
  assert.deepEqual([recipient.state, recipient.reason, recipient.rule], ['bounced', 'rule-says-bounce', 'never-there'])
  assert.equal((await explain(id)).rule.line, 3)
})
