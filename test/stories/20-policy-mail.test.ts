/** Policies on real mail: each condition by a real submission, copies, watching, overrides, and a policy that changes while mail flows. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createTransport, type SendMailOptions } from 'nodemailer'
import { type MessageTrace, recordsOf } from '../../src/delivery/trace.ts'
import type { PartnerMail } from '../../src/demo/partner.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { explain } from '../../src/routing/explain.ts'
import { explanationText } from '../../src/routing/explain-text.ts'
import { readRecords } from '../../src/routing/record.ts'
import { operate } from '../../src/spool/queue.ts'
import { sql } from '../../src/store/db.ts'
import { createUsers } from '../../src/submission/users.ts'
import { eventually, startWorld, type World } from './world.ts'

const byRule = (name: string, when: string, deliver = '[escrow]', more = '') =>
  `  - { name: ${name}, when: ${when}, deliver: ${deliver}${more} }\n`

const rules = [
  byRule('shut', '{ to: shut.example }', '[tls]', ', also-to: journal@org.example'),
  byRule('cards', '{ detect: payment-card, to: cards.example }'),
  byRule('sensitive', '{ header: { Sensitivity: [private, company-confidential] } }'),
  byRule('labelled', '{ header: { msip_labels: { contains: Secret } } }'),
  byRule('large', '{ size: { over: 200KiB } }'),
  byRule('payroll', '{ authenticated-as: payroll }'),
  byRule('branch', '{ client: 127.0.0.9 }'),
  byRule('journaled', '{ subject-tag: journal }', '[tls, pgp]', ', also-to: [journal@org.example, archive@org.example]'),
  byRule('astray', '{ subject-tag: astray }', '[tls]', ', also-to: journal@branch.org.example'),
  byRule(
    'watched',
    '{ subject-tag: watch }',
    '[{ tls: { level: verified } }, pgp, escrow]',
    ', observe: true, also-to: journal@org.example',
  ),
].join('')
const pinned = `  - { to: pin@lab.example, tls: { level: pinned, pin: [${'ab'.repeat(32)}] }, reason: own CA, until: 2099-12-31 }\n`
const former = `  - { to: past@lab.example, never: [tls], reason: asked, until: 2020-01-01 }\n`
const wishes = `  - { to: wish@lab.example, prefer: pgp, reason: asked by phone, until: 2099-12-31 }\n`
const policy = `version: 1\nrules:\n${rules}overrides:\n${pinned}${former}${wishes}default: { deliver: [tls, pgp, escrow] }\n`

let world: World
before(async () => {
  world = await startWorld(
    {
      'lab.example': {},
      'cards.example': {},
      'bare.example': { certificate: 'none' },
      'shut.example': { manner: { script: (verb) => (verb === 'RCPT' ? '550 5.1.1 no such user' : undefined) } },
      'slow.example': { manner: { script: (verb) => (verb === 'RCPT' && slow ? '451 4.2.0 later' : undefined) } },
    },
    // No route leads to the second domain.
    { 'dkim.signUnsigned': true, 'organisation.domains': ['org.example', 'branch.org.example'] },
  )
  await world.applyPolicy(policy)
})
after(() => world?.close())
let slow = true

const send = (to: string | string[], more: SendMailOptions = {}) =>
  world.send({ from: 'ann@org.example', to, subject: 'hello', text: 'hello', ...more })
/** The rule that decided on the first recipient, and the way that its mail went. */
const ruleOf = async (id: string) => {
  const { recipients } = await world.settled(id, (message) => message.recipients.every(({ attempts }) => attempts > 0))
  return [recipients[0]?.rule, recipients[0]?.method]
}

const conditions: readonly (readonly [what: string, mail: SendMailOptions, rule: string, method: string])[] = [
  ['a header field that equals', { headers: { Sensitivity: 'Company-Confidential' } }, 'sensitive', 'escrow'],
  ['a header field that contains', { headers: { msip_labels: 'MSIP_Label_1_Name=Top Secret; x' } }, 'labelled', 'escrow'],
  ['a header field with another value', { headers: { Sensitivity: 'normal' } }, 'default', 'tls'],
  ['a size beyond the bound', { text: 'word '.repeat(60_000) }, 'large', 'escrow'],
]
for (const [what, mail, rule, method] of conditions)
  test(`${what} decides on real mail`, async () => assert.deepEqual(await ruleOf(await send('max@lab.example', mail)), [rule, method]))

test('a payment card in an attachment makes a letter of the mail, a number that is none does not', async () => {
  const attached = (number: string): SendMailOptions => ({
    attachments: [
      { filename: 'order.csv', contentType: 'text/csv', content: `name,card\r\nMax,${number}\r\n`, contentTransferEncoding: 'base64' },
    ],
  })
  const id = await send('max@cards.example', attached('4111 1111 1111 1111'))
  assert.deepEqual(await ruleOf(id), ['cards', 'escrow'])
  assert.ok(!(await recordsOf(world.db, `${id}-1`)).join().includes('4111'), 'the record counts, it does not quote')
  assert.deepEqual(await ruleOf(await send('max@cards.example', attached('4111 1111 1111 1112'))), ['default', 'tls'])
})

test('who signed in, and from which network, decide on real mail', async () => {
  await createUsers({ db: world.db, clock: systemClock, settings: world.settings }).add('payroll', 'correct horse battery', 'test')
  const submit = async (more: object) => {
    const at = world.gateway().smtp[0]
    const client = createTransport({ host: at?.host, port: at?.port, tls: { rejectUnauthorized: false }, ...more })
    const { response } = await client.sendMail({ from: 'ann@org.example', to: 'max@lab.example', subject: 's', text: 't' })
    client.close()
    return /queued as (\S+)/.exec(response)?.[1] ?? ''
  }
  assert.deepEqual(await ruleOf(await submit({ auth: { user: 'payroll', pass: 'correct horse battery' } })), ['payroll', 'escrow'])
  assert.deepEqual(await ruleOf(await submit({ localAddress: '127.0.0.9' })), ['branch', 'escrow'])
  assert.deepEqual(await ruleOf(await submit({})), ['default', 'tls'])
})

const copies = (subject: string) =>
  world.own.mails.filter(
    ({ recipients, content }) => recipients.some(({ address }) => /^(?:journal|archive)@/.test(address)) && content.includes(subject),
  )
const to = ({ recipients }: PartnerMail) => recipients.map(({ address }) => address).join()

test('a copy goes to each address of the rule once a message, whatever number of recipients and attempts, byte for byte', async () => {
  slow = true
  const subject = '[journal] kopie-eins'
  const id = await send(['max@lab.example', 'eva@lab.example', 'kim@slow.example'], { subject, text: 'Grüße\r\n.\r\n.dot' })
  await world.settled(id, ({ recipients }) => recipients.some(({ attempts }) => attempts > 1))
  slow = false
  await operate(world.db, 'retry', { kind: 'id', id }, { actor: 'test', now: Date.now(), dryRun: false })
  const { recipients } = await world.settled(id)
  assert.deepEqual(
    recipients.map(({ state }) => state),
    ['delivered', 'delivered', 'delivered'],
  )
  await world.arrival(world.own, (mail) => copies('kopie-eins').includes(mail) && to(mail) === 'archive@org.example')
  await world.arrival(world.own, (mail) => copies('kopie-eins').includes(mail) && to(mail) === 'journal@org.example')
  const made = copies('kopie-eins')
  assert.deepEqual(made.map(to).sort(), ['archive@org.example', 'journal@org.example'])
  const original = world.partners['lab.example']?.mails.find(({ content }) => content.includes('kopie-eins'))
  for (const { content } of made) assert.equal(content.toString(), original?.content.toString())
  assert.equal((await world.db.read(sql`SELECT id FROM message WHERE kind = 'copy' AND about = ${id}`)).length, 2)
})

test('the copy is made although the message itself is returned, however large it is', async () => {
  const id = await send('nobody@shut.example', { subject: 'kopie-zwei', text: `${'0123456789\n'.repeat(30_000)}schluss` })
  assert.equal((await world.settled(id)).recipients[0]?.state, 'bounced')
  const copy = await world.arrival(world.own, (mail) => copies('kopie-zwei').includes(mail))
  assert.equal(to(copy), 'journal@org.example')
  assert.ok(copy.content.length > 330_000 && copy.content.toString().trimEnd().endsWith('schluss'))
})

test('a copy that its server refuses is held, and tried again when it is released', async () => {
  world.own.behave({ script: (verb, line) => (verb === 'RCPT' && line.includes('archive@') ? '550 5.7.1 no' : undefined) })
  const id = await send('max@lab.example', { subject: '[journal] kopie-fuenf' })
  await world.settled(id)
  const rows = () =>
    world.db.read<{ id: string; state: string; reason: string | null }>(sql`
      SELECT recipient.id, recipient.state, recipient.reason FROM recipient JOIN message ON message.id = recipient.message
      WHERE message.kind = 'copy' AND message.about = ${id} AND recipient.address = 'archive@org.example'`)
  const held = await eventually('the copy to be held', async () => (await rows()).find(({ state }) => state === 'held'))
  assert.equal(held.reason, 'recipient-refused')
  world.own.behave({})
  await operate(world.db, 'release', { kind: 'id', id: held.id }, { actor: 'test', now: Date.now(), dryRun: false })
  await world.restart() // it looks at once then, else within five seconds
  await world.arrival(world.own, (mail) => copies('kopie-fuenf').includes(mail) && to(mail) === 'archive@org.example')
  assert.equal(copies('kopie-fuenf').length, 2)
})

test('a policy that would copy mail to others, or ask them, is refused', async () => {
  const apply = (deliver: string, more = '') => world.applyPolicy(`version: 1\ndefault: { deliver: ${deliver}${more} }\n`)
  await assert.rejects(apply('[tls]', ', also-to: spy@lab.example'), /also-to: spy@lab\.example is no address of the organisation/)
  await assert.rejects(apply('[{ hold: { approvers: spy@lab.example } }]'), /approver spy@lab\.example is no address of the organisation/)
})

test('no copy leaves the organisation: the mail waits and says why, and nothing is sent', async () => {
  const id = await send('max@lab.example', { subject: '[astray] kopie-drei' })
  const { recipients } = await world.settled(id, (message) => (message.recipients[0]?.attempts ?? 0) > 0)
  assert.deepEqual([recipients[0]?.state, recipients[0]?.reason], ['waiting', 'local-fault'])
  assert.match(recipients[0]?.lastReply ?? '', /^the rule asks for a copy to an address that no route of the organisation leads to/)
  assert.deepEqual(await world.db.read(sql`SELECT id FROM message WHERE kind = 'copy' AND about = ${id}`), [])
  assert.ok(!world.partners['lab.example']?.mails.some(({ content }) => content.includes('kopie-drei')))
  const bounce = () => operate(world.db, 'bounce', { kind: 'id', id }, { actor: 'test', now: Date.now(), dryRun: false })
  await eventually('it to be between two attempts', async () => (await bounce()).changed[0])
  await world.settled(id)
})

async function explained(id: string, message: MessageTrace): Promise<string> {
  const recipient = message.recipients[0] ?? assert.fail()
  const records = await readRecords(world.db, `${id}-1`)
  const known = { ...message, reversePath: message.from }
  return explanationText(explain({ message: known, recipient: { ...recipient, address: recipient.to, plan: null } as never, records }), 200)
}

test('while a rule only observes, mail goes as before and explain says what it would have done; no copy is sent', async () => {
  const bare = await send('max@bare.example', { subject: '[watch] beobachtet' })
  const clear = await world.settled(bare)
  assert.deepEqual([clear.recipients[0]?.method, clear.recipients[0]?.assurance], ['opportunistic', 'none'])
  const told = await explained(bare, clear)
  assert.match(told, /OPPORTUNISTIC for max@bare\.example, because rule "watched" only observes/)
  assert.match(told, /Only observed: would go by escrow, proof code, because bare\.example offers no TLS and no PGP key is known\./)
  const lab = await send('max@lab.example', { subject: '[watch] beobachtet' })
  assert.match(await explained(lab, await world.settled(lab)), /Only observed: would go by tls, verified\./)
  assert.deepEqual(copies('beobachtet'), [])
})

test('an override pins, prefers and ends by its date', async () => {
  assert.deepEqual(await ruleOf(await send('past@lab.example')), ['default', 'tls'])
  const wish = await send('wish@lab.example')
  await world.settled(wish)
  const [record] = await readRecords(world.db, `${wish}-1`)
  assert.deepEqual(record?.steps.map(({ method, result }) => `${method} ${result}`).slice(0, 2), ['pgp unsuitable', 'tls delivered'])
  assert.match(record?.rulesLookedAt.at(-1)?.because ?? '', /wish@lab\.example, until 2099-12-31: asked by phone/)
  const pin = await world.settled(await send('pin@lab.example'))
  assert.deepEqual([pin.recipients[0]?.method, pin.recipients[0]?.reason], ['escrow', 'assurance-too-low'])
})

test('mail under way keeps the revision stamped at its acceptance while the policy changes', async () => {
  const sent: Promise<readonly [string, number]>[] = []
  for (let round = 1; round <= 4; round++) {
    await world.applyPolicy(`version: 1\nrules: [{ name: round-${round}, when: { from: ann@org.example }, deliver: [tls] }]\n`)
    for (let index = 0; index < 5; index++) sent.push(send(`r${round}-${index}@lab.example`).then((id) => [id, round] as const))
    if (round % 2 === 0) await Promise.all(sent)
  }
  for (const [id] of await Promise.all(sent)) {
    const message = await world.settled(id)
    const [record] = await readRecords(world.db, `${id}-1`)
    const [text] = await world.db.read<{ text: string }>(sql`SELECT text FROM policy_revision WHERE revision = ${message.policyRevision}`)
    assert.equal(record?.revision, message.policyRevision)
    assert.ok(text?.text.includes(`name: ${record?.rule.name},`), `${record?.rule.name} is of revision ${message.policyRevision}`)
  }
})
