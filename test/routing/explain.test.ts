import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { messageFacts } from '../../src/mail/facts.ts'
import { parseHeader } from '../../src/mail/header.ts'
import { reasons } from '../../src/mail/outcome.ts'
import type { StepResult } from '../../src/mail/plan.ts'
import { methods } from '../../src/methods/index.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { type Case, explain } from '../../src/routing/explain.ts'
import { explanationText } from '../../src/routing/explain-text.ts'
import { readExplanations } from '../../src/routing/explanations.ts'
import { plan } from '../../src/routing/plan.ts'
import { decisionRecord, readRecords } from '../../src/routing/record.ts'
import { inWords } from '../../src/routing/remedy.ts'
import { policyStore } from '../../src/routing/store.ts'
import { signerOf } from '../../src/seal/signer.ts'
import { sql } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { factsOf, policyOf } from './world.ts'

const policyText = `version: 1
groups:
  banks: [bank-a.example]
rules:
  - name: banks-tls-only
    when: { to: group:banks }
    deliver: [tls]
  - name: marked-portal
    when: { subject-tag: portal }
    deliver: [escrow]
default:
  deliver: [tls, pgp, smime, escrow]
`
const policy = { ...policyOf(policyText), revision: 3 }
const facts = factsOf()
const made = plan(policy, facts)

const step = (method: string, result: StepResult['result'], reason: StepResult['reason'] = null, text = ''): StepResult => ({
  method,
  result,
  reason,
  text,
  evidence: {},
})
const expired = step('tls', 'unsuitable', 'certificate-expired', 'the certificate of mx1.lab.example expired on 2026-11-03')
const noKey = step('pgp', 'unsuitable', 'no-key', 'no PGP key is known for max@lab.example')
const noCertificate = step('smime', 'unsuitable', 'no-certificate', 'no certificate is known for max@lab.example')
const sealed = step('escrow', 'delivered', null, 'sealed as letter KJ4F-7Q2M, proof code, until 2026-12-03')
const untried = (...names: readonly string[]) => names.map((method) => step(method, 'not-tried'))

function caseOf(
  steps: readonly StepResult[],
  { ...recipient }: Partial<Case['recipient']> & { state: string },
  more: Partial<Case> = {},
): Case {
  return {
    message: { id: '01message', messageId: '<1@org.example>', reversePath: 'ann@org.example', policyRevision: 3, acceptedAt: 1000 },
    recipient: {
      address: 'max@lab.example',
      method: null,
      reason: null,
      assurance: null,
      proof: null,
      attempts: 1,
      nextAttemptAt: null,
      plan: made,
      ...recipient,
    },
    records: [
      decisionRecord({ at: 2000, attempt: 1, plan: made, facts, steps: [...steps, ...untried('bounce')], outcome: recipient.state }),
    ],
    policy,
    ...more,
  }
}
const letter = caseOf([expired, noKey, noCertificate, sealed], {
  state: 'letter-notified',
  method: 'escrow',
  reason: 'no-certificate',
  proof: 'code',
})

describe('explain', () => {
  test('tells outcome, method, rule and steps of a letter, without the bounce that was not needed', () => {
    const told = explain(letter)
    assert.deepEqual(
      [told.message, told.to, told.outcome, told.method, told.reason, told.rule],
      ['01message', 'max@lab.example', 'letter-notified', 'escrow', 'no-certificate', { name: 'default', line: 11 }],
    )
    assert.deepEqual(told.steps, [expired, noKey, noCertificate, sealed])
    assert.deepEqual(
      told.rulesLookedAt.map(({ name, matched }) => [name, matched]),
      [
        ['banks-tls-only', false],
        ['marked-portal', false],
        ['default', true],
      ],
    )
  })

  test('says what would have changed each refusal that somebody can change', () => {
    assert.deepEqual(explain(letter).wouldBe, [
      { method: 'tls', if: 'lab.example renews its certificate' },
      { method: 'pgp', if: 'a PGP key for max@lab.example is imported (letterlock keys pgp import FILE)' },
    ])
  })

  test('asks the plan what another subject tag would have done', () => {
    const served = step('tls', 'delivered', null, 'mx1.lab.example took it')
    const told = explain(caseOf([served, ...untried('pgp', 'smime', 'escrow')], { state: 'delivered', method: 'tls' }))
    assert.deepEqual(told.wouldBe, [{ method: 'escrow', if: 'the subject carries [portal] (rule "marked-portal", line 8)' }])
  })

  test('proposes no other method for an address that does not exist', () => {
    const refused = step('tls', 'failed', 'recipient-refused', 'mx1.lab.example refused max@lab.example: 550 5.1.1 no such user')
    assert.deepEqual(explain(caseOf([refused], { state: 'bounced', reason: 'recipient-refused' })).wouldBe, [])
  })

  test('tells of waiting mail what it waits for', () => {
    const down = {
      ...step('tls', 'deferred', 'unreachable', 'mx1.lab.example:25 refused the connection'),
      evidence: { host: 'mx1.lab.example' },
    }
    const told = explain(
      caseOf([down, ...untried('pgp', 'smime', 'escrow')], { state: 'waiting', reason: 'unreachable', nextAttemptAt: 5000 }),
    )
    assert.deepEqual(
      [told.outcome, told.nextAttemptAt, told.wouldBe],
      ['waiting', 5000, [{ method: 'tls', if: 'mx1.lab.example accepts mail again' }]],
    )
  })

  test('answers for mail that was not tried yet, with and without a plan', () => {
    const fresh = { state: 'waiting', attempts: 0, nextAttemptAt: 5000 }
    const planned = explain(caseOf([], fresh, { records: [] }))
    assert.deepEqual(planned.steps, untried('tls', 'pgp', 'smime', 'escrow'))
    const unplanned = explain(caseOf([], { ...fresh, plan: null }, { records: [] }))
    assert.deepEqual([unplanned.rule, unplanned.steps, unplanned.policy.revision], [{ name: '', line: 0 }, [], 3])
  })

  test('goes by the last attempt', () => {
    const first = decisionRecord({
      at: 1,
      attempt: 1,
      plan: made,
      facts,
      steps: [step('tls', 'deferred', 'certificate-expired')],
      outcome: 'waiting',
    })
    assert.deepEqual(explain({ ...letter, records: [first, ...letter.records] }).steps[0], expired)
  })
})

describe('explanationText', () => {
  const lines = (known: Case) => explanationText(explain(known)).split('\n')

  test('gives the answer first, then rule, steps in columns, and what would change it', () => {
    const text = lines(letter)
    const whole = text.join(' ').replace(/\s+/g, ' ')
    assert.match(text[0] ?? '', /^ESCROW for max@lab\.example/)
    assert.match(whole, /because its TLS was refused \(certificate expired or not yet valid\) and no PGP key or certificate is known\./)
    assert.match(whole, /policy [0-9a-f]{12}, revision 3, rule "default" line 11/)
    assert.match(
      whole,
      /banks-tls-only \(no: to is lab\.example\); marked-portal \(no: subject has no tag \[portal\]\); default \(yes: no rule before it matched\)/,
    )
    assert.match(whole, /Would be TLS if: lab\.example renews its certificate\./)
    assert.match(whole, /see docs\/reasons\.md#certificate-expired, docs\/reasons\.md#no-key, docs\/reasons\.md#no-certificate/)
    const steps = text.filter((line) => /^ {2}\d /.test(line))
    assert.deepEqual(
      steps.map((line) => line.slice(2, 10).trim()),
      ['1 tls', '2 pgp', '3 smime', '4 escrow'],
    )
    assert.match(steps[0] ?? '', /^ {2}1 tls +asked verified +the certificate of/)
    const columns = ['refused', 'no key', 'no certificate', 'chosen'].map((word, index) => steps[index]?.lastIndexOf(word))
    assert.equal(new Set(columns).size, 1, `columns ${columns}`)
  })

  test('ends with its last word: whoever prints it ends the line', () => assert.match(explanationText(explain(letter)), /\S$/))

  test('keeps within 100 columns, whatever a remote host said', () => {
    const long = step('tls', 'failed', 'content-refused', `550 ${'x'.repeat(300)} ${'word '.repeat(80)}`)
    for (const line of lines(caseOf([long], { state: 'bounced', reason: 'content-refused' }))) assert.ok(line.length <= 100, line)
  })

  test('lets nothing that a remote host said reach the terminal as a control character', () => {
    const rude = step('tls', 'failed', 'content-refused', '550 \u001b[2J\u0007\u202Eevil\u009b31m\nWould be PLAIN if: you ask')
    const text = explanationText(explain(caseOf([rude], { state: 'bounced', reason: 'content-refused' })))
    assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
    assert.doesNotMatch(text, /^\s*Would be PLAIN/m)
  })

  test('says why mail came back, and when waiting mail is tried again', () => {
    const back = step('bounce', 'failed', 'certificate-expired', 'no protected way reaches this recipient')
    assert.match(
      lines(caseOf([expired, back], { state: 'bounced', reason: 'certificate-expired' }))[0] ?? '',
      /^BOUNCED for max@lab\.example, because its TLS was refused/,
    )
    const down = step('tls', 'deferred', 'unreachable', 'mx1.lab.example:25 refused the connection')
    const waiting = lines(caseOf([down], { state: 'waiting', nextAttemptAt: Date.UTC(2026, 10, 3, 18) })).join(' ')
    assert.match(
      waiting,
      /^WAITING for max@lab\.example: mx1\.lab\.example:25 refused the connection; next attempt 2026-11-03\s+18:00 UTC\./,
    )
  })

  test('says that an operator returned it, not that a rule or a refusal did', () => {
    const returned = step('bounce', 'failed', 'returned-by-operator', 'an administrator of the mail gateway returned it')
    const state = { state: 'bounced', reason: 'returned-by-operator' } as const
    for (const steps of [[returned], [expired, noKey, returned]])
      assert.match(
        explanationText(explain(caseOf(steps, state)), 200),
        /^BOUNCED for max@lab\.example: an administrator of the mail gateway returned it\.\n/,
      )
  })

  test('says that the rule decided where no method was refused', () => {
    const portal = decisionRecord({
      at: 1,
      attempt: 1,
      plan: plan(policy, factsOf({ subjectTags: ['portal'] })),
      facts,
      steps: [sealed],
      outcome: 'letter-waiting',
    })
    assert.match(lines({ ...letter, records: [portal] }).join(' '), /^ESCROW for .*, because rule "marked-portal" asks for it first\./)
  })
})

describe('a decision record', () => {
  test('keeps addresses, words that are tags, and yes or no, but no piece of the subject', () => {
    const mail = messageFacts(
      parseHeader(
        Buffer.from(
          'From: Ann Secret <ann@org.example>\r\nTo: Max Private <max@lab.example>\r\nSubject: [portal] Salary of Max [his illness is grave]\r\n',
        ),
      ),
    )
    const record = decisionRecord({ at: 1, attempt: 1, plan: made, facts: { ...facts, mail }, steps: [], outcome: 'waiting' })
    assert.deepEqual(record.facts?.mail.subjectTags, ['portal'])
    assert.doesNotMatch(JSON.stringify(record), /Salary|illness|Secret|Private/)
  })
})

test('readExplanations finds a message by id or Message-ID, and each or one of its recipients', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'explain-'))
  const db = openSqlite(join(folder, 'db'))
  try {
    await migrate(db, join(packageRoot, 'migrations'))
    const policies = policyStore({ db, clock: () => 1000, methods, signer: signerOf(Buffer.alloc(32, 1)), settings: defaultSettings({}) })
    const applied = await policies.apply(policyText, { by: 'test', comment: '' })
    assert.ok(applied.kind === 'applied')
    const frozen = plan((await policies.current()).policy, facts)
    const record = decisionRecord({
      at: 2000,
      attempt: 1,
      plan: frozen,
      facts,
      steps: letter.records[0]?.steps ?? [],
      outcome: 'letter-waiting',
    })
    const recipient = (id: string, address: string, state: string, frozenPlan: string | null) => sql`
      INSERT INTO recipient (id, message, address, domain, notify, bcc, state, plan, step, attempts, step_attempts, next_attempt_at, claimed_until, fence, method, delay_noticed)
      VALUES (${id}, ${'01message'}, ${address}, ${'lab.example'}, ${''}, ${0}, ${state}, ${frozenPlan}, ${0}, ${1}, ${1}, ${9000}, ${0}, ${0}, ${'escrow'}, ${0})`
    await db.write(
      sql`INSERT INTO message (id, kind, message_id, reverse_path, header_from, accepted_at, size, policy_revision, body, smtp_utf8, client, mac)
        VALUES (${'01message'}, ${'mail'}, ${'<1@org.example>'}, ${'ann@org.example'}, ${'ann@org.example'}, ${1000}, ${10}, ${1}, ${'7bit'}, ${0}, ${'{}'}, ${Buffer.alloc(32)})`,
      recipient('r1', 'max@lab.example', 'letter-waiting', JSON.stringify({ plan: frozen, earlier: [] })),
      recipient('r2', 'eva@lab.example', 'waiting', null),
      sql`INSERT INTO letter (id, reference, message, recipient, address, sender_address, sender_name, message_id, references_field, proof, label, created_at, expires_at, state)
        VALUES (${'l1'}, ${'KJ4F-7Q2M'}, ${'01message'}, ${'r1'}, ${'max@lab.example'}, ${'ann@org.example'}, ${''}, ${'<1@org.example>'}, ${''}, ${'code'}, ${'default'}, ${1}, ${2}, ${'read'})`,
      sql`INSERT INTO decision (recipient, attempt, at, policy_revision, record) VALUES (${'r1'}, ${1}, ${2000}, ${1}, ${JSON.stringify(record)})`,
    )
    assert.deepEqual(await readRecords(db, 'r1'), [record])
    const outcomes = async (name: string, to?: string) =>
      (await readExplanations({ db, policies }, name, to)).map((told) => [told.to, told.outcome, told.steps.length])
    assert.deepEqual(await outcomes('01message'), [
      ['max@lab.example', 'letter-read', 4],
      ['eva@lab.example', 'waiting', 0],
    ])
    assert.deepEqual(await outcomes('1@org.example', 'MAX@LAB.example'), [['max@lab.example', 'letter-read', 4]])
    assert.deepEqual(await outcomes('<1@org.example>', 'nobody@lab.example'), [])
    assert.deepEqual(await outcomes('unknown'), [])
  } finally {
    await db.close()
    await rm(folder, { recursive: true })
  }
})

test('each reason has words for a person, with its code', () => {
  for (const reason of reasons) assert.ok(inWords(reason).endsWith(` (${reason})`), reason)
})
