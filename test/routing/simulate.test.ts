import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { newId } from '../../src/mail/id.ts'
import type { Evidence } from '../../src/mail/outcome.ts'
import type { StepResult } from '../../src/mail/plan.ts'
import { methods } from '../../src/methods/index.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import type { PlanFacts } from '../../src/routing/facts.ts'
import { plan } from '../../src/routing/plan.ts'
import type { Policy } from '../../src/routing/policy.ts'
import { decisionRecord } from '../../src/routing/record.ts'
import { decisionsSince, type Replayed, type Surroundings } from '../../src/routing/replay.ts'
import { createSimulation, type Simulated } from '../../src/routing/simulate.ts'
import { runSimulation } from '../../src/routing/simulation.ts'
import { policyStore } from '../../src/routing/store.ts'
import { signerOf } from '../../src/seal/signer.ts'
import type { Db, Statement } from '../../src/store/db.ts'
import { sql } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { factsOf, policyOf } from './world.ts'

const settings = defaultSettings({ 'organisation.domains': ['org.example'] })
const step = (method: string, result: StepResult['result'], reason: StepResult['reason'] = null, evidence: Evidence = {}): StepResult => ({
  method,
  result,
  reason,
  text: '',
  evidence,
})
const standing = (identity: string) => ({ host: 'mx.lab.example', identity, protocol: 'TLSv1.3', cipher: 'x', certificate: null })
const byTls = [step('tls', 'delivered', null, standing('webpki (MX name from unsigned DNS)')), step('escrow', 'not-tried')]
const inLetter = (reason: StepResult['reason'], evidence: Evidence = {}) => [
  step('tls', 'unsuitable', reason, { host: 'mx.lab.example', ...evidence }),
  step('escrow', 'delivered'),
]
const nowhere: Surroundings = { probed: new Map(), verifiedAt: new Map(), keys: new Map() }
const policy = (deliver: string, more = '') => policyOf(`version: 1\n${more}default:\n  deliver: [${deliver}]\n`)

/** What one decision under `tls, escrow` becomes under the other policy. */
function simulated(next: Policy, decision: Partial<Replayed>, { around = nowhere, then = policy('tls, escrow') } = {}): Simulated {
  const simulation = createSimulation({ next, before: () => then, then: () => then, around, settings })
  simulation.add({ at: 1, revision: 1, facts: factsOf(), steps: byTls, ...decision })
  return simulation.result()
}
const change = (next: Policy, decision: Partial<Replayed>, more: Parameters<typeof simulated>[2] = {}): string => {
  const { byChange, cannotTell } = simulated(next, decision, more)
  if (cannotTell.count > 0) return `cannot tell: ${cannotTell.missing.map(({ what }) => what).join(', ')}`
  return byChange.map(({ from, to }) => `${from} → ${to}`).join() || 'the same'
}

describe('a simulation', () => {
  test('shows what goes the same way on other terms, and copies, beside what changes', () => {
    const then = policy('tls, { escrow: { on-downgrade: second-factor } }')
    const same = { deliver: 'tls, escrow' }
    assert.deepEqual(simulated(policy(same.deliver), {}, { then }).otherTerms, { count: 0, terms: [] })
    const higher = simulated(policy('{ tls: { level: authenticated, patience: 2h } }, escrow'), {
      steps: [step('tls', 'delivered', null, standing('webpki')), step('escrow', 'not-tried')],
    })
    assert.deepEqual(
      [higher.changed, higher.otherTerms],
      [0, { count: 1, terms: [{ what: 'tls level', from: 'verified', to: 'authenticated', count: 1 }] }],
    )
    const letter = { steps: inLetter('certificate-expired') }
    const stricter = simulated(policy('tls, { escrow: { on-downgrade: hold, expires: 14d } }'), letter, { then })
    assert.deepEqual(stricter.otherTerms.terms.map(({ what, from, to }) => `${what}: ${from} → ${to}`).sort(), [
      'escrow expires: as usual → 14d',
      'escrow on-downgrade: second-factor → hold',
    ])
    const copied = simulated(policyOf('version: 1\ndefault: { deliver: [tls, escrow], also-to: journal@org.example }\n'), {})
    assert.deepEqual([copied.changed, copied.copies], [0, [{ to: 'journal@org.example', before: 0, next: 1 }]])
    const watched = 'version: 1\nobserve: true\ndefault: { deliver: [tls, escrow], also-to: journal@org.example }\n'
    assert.deepEqual(simulated(policyOf(watched), {}).copies, [])
  })

  test('finds nothing changed where the steps are the same', () => {
    assert.equal(change(policy('tls, escrow'), {}), 'the same')
    assert.equal(change(policy('tls, pgp, escrow'), { steps: inLetter('certificate-expired') }), 'the same')
  })

  test('judges a channel that stood for another level by what it proved', () => {
    assert.equal(change(policy('{ tls: { level: authenticated } }, escrow'), {}), 'tls → escrow')
    assert.equal(change(policy('{ tls: { level: authenticated } }'), {}), 'tls → bounce')
    assert.equal(change(policy('{ tls: { level: encrypted } }'), {}), 'the same')
    assert.equal(change(policy('{ tls: { min: 1.3 } }, bounce'), {}), 'the same')
    const older = [{ ...byTls[0], evidence: { ...standing('webpki'), protocol: 'TLSv1.2' } } as StepResult]
    assert.equal(change(policy('{ tls: { min: 1.3 } }, bounce'), { steps: older }), 'tls → bounce')
  })

  test('judges a channel that failed for a lower level by why it failed', () => {
    const lower = policy('{ tls: { level: encrypted } }, escrow')
    assert.equal(change(lower, { steps: inLetter('certificate-expired') }), 'escrow → tls')
    assert.equal(change(lower, { steps: inLetter('starttls-not-supported') }), 'the same')
    assert.equal(change(lower, { steps: inLetter('certificate-expired', { published: 'sts-enforce' }) }), 'the same')
    const high = policy('{ tls: { level: authenticated } }, escrow')
    const tooLow = inLetter('assurance-too-low', { protocol: 'TLSv1.3' })
    assert.equal(change(policy('tls, escrow'), { steps: tooLow }, { then: high }), 'escrow → tls')
    const dane = policy('{ tls: { level: dane } }, escrow')
    assert.match(change(policy('tls, escrow'), { steps: tooLow }, { then: dane }), /^cannot tell: what its host proves below/)
  })

  test('never guesses a pinned key', () => {
    const pinned = policy(`{ tls: { level: pinned, pin: ["${'ab'.repeat(32)}"] } }, escrow`)
    assert.equal(change(pinned, {}), 'cannot tell: the public key of its host')
  })

  test('takes a step that was not tried from the last probe, and says when there was none', () => {
    const portal = { steps: [step('escrow', 'delivered')] }
    const then = policy('escrow')
    const probed = (posture: 'clear' | 'verified') => ({
      then,
      around: {
        ...nowhere,
        probed: new Map([['lab.example', { posture, reason: posture === 'clear' ? 'starttls-not-supported' : null }]]),
      },
    })
    assert.equal(change(policy('tls, escrow'), portal, probed('verified')), 'escrow → tls')
    assert.equal(change(policy('tls, escrow'), portal, probed('clear')), 'the same')
    assert.equal(change(policy('tls, escrow'), portal, { then }), 'cannot tell: the TLS of a domain that was not probed')
  })

  test('knows mail in clear, keys, held mail and other proofs by name', () => {
    const open = policy('{ opportunistic: { i-understand: may travel unencrypted } }')
    assert.equal(change(open, { steps: inLetter('starttls-not-supported') }), 'escrow → clear')
    assert.equal(change(open, { steps: inLetter('certificate-expired') }), 'escrow → opportunistic')
    const keys = { around: { ...nowhere, keys: new Map([['max@lab.example', 'approved']]) } }
    const letter = { steps: inLetter('certificate-expired') }
    assert.equal(change(policy('tls, pgp, escrow'), letter, keys), 'escrow → pgp')
    assert.equal(change(policy('tls, { pgp: { trust: direct } }, escrow'), letter, keys), 'the same')
    assert.equal(change(policy('tls, { escrow: { proof: second-factor } }'), letter), 'escrow → hold')
    assert.equal(change(policy('tls, { escrow: { proof: link } }'), letter), 'escrow, proof code → escrow, proof link')
    assert.equal(change(policy('tls, bounce'), letter), 'escrow → bounce')
  })

  test('does not take what a key or a message was refused for as trouble of the host', () => {
    const large = [step('pgp', 'unsuitable', 'message-too-large'), step('escrow', 'delivered')]
    const around = { ...nowhere, probed: new Map([['lab.example', { posture: 'verified' as const, reason: null }]]) }
    assert.equal(change(policy('tls, escrow'), { steps: large }, { then: policy('pgp, escrow'), around }), 'escrow → tls')
  })

  test('does not make letters of mail to an address that does not exist, once its host was asked', () => {
    const refused = [step('tls', 'failed', 'recipient-refused', { host: 'mx.lab.example' }), step('escrow', 'not-tried')]
    assert.equal(change(policy('tls, pgp, escrow'), { steps: refused }), 'the same')
  })

  test('counts what a stored decision cannot answer, by what is missing', () => {
    const sized = policyOf(
      'version: 1\nrules:\n  - { name: big, when: { size: { over: 1MiB } }, deliver: [escrow] }\ndefault:\n  deliver: [tls, escrow]\n',
    )
    assert.equal(change(sized, {}), 'cannot tell: size')
    assert.equal(change(sized, { facts: factsOf({ size: 2 ** 21 }) }), 'tls → escrow')
    const titled = policyOf(
      'version: 1\nrules:\n  - { name: t, when: { subject-tag: [very secret] }, deliver: [escrow] }\ndefault:\n  deliver: [tls, escrow]\n',
    )
    assert.equal(change(titled, {}), 'cannot tell: subject-tag [very secret]')
  })

  test('does not take finds of a detector for those of another one with its name', () => {
    const detecting = (word: string) =>
      policyOf(
        `version: 1\ndetectors:\n  own: { words: [${word}] }\nrules:\n  - { name: d, when: { detect: own }, deliver: [escrow] }\ndefault:\n  deliver: [tls, escrow]\n`,
      )
    const found = { facts: factsOf({ detected: { own: 1 } }), steps: [step('escrow', 'delivered')] }
    const around = { ...nowhere, probed: new Map([['lab.example', { posture: 'verified' as const, reason: null }]]) }
    assert.equal(change(policy('tls, escrow'), found, { then: detecting('secret'), around }), 'escrow → tls')
    assert.equal(change(detecting('secret'), found, { then: detecting('secret'), around }), 'the same')
    assert.equal(change(detecting('public'), found, { then: detecting('secret'), around }), 'cannot tell: detect')
  })

  test('counts people who would newly be asked to the portal, each once, and not those who know it', () => {
    const then = policy('tls, escrow')
    const next = policy('escrow')
    const simulation = createSimulation({ next, before: () => then, then: () => then, around: nowhere, settings })
    const add = (recipient: string, steps: readonly StepResult[]) =>
      simulation.add({ at: 1, revision: 1, facts: factsOf({ recipient }), steps })
    for (const recipient of ['max@lab.example', 'max@lab.example', 'eva@lab.example', 'ida@town.example']) add(recipient, byTls)
    add('eva@lab.example', inLetter('certificate-expired'))
    const told = simulation.result()
    assert.deepEqual([told.decisions, told.changed], [5, 4])
    assert.deepEqual(told.byChange, [{ from: 'tls', to: 'escrow', count: 4 }])
    assert.deepEqual(told.byDomain, [
      { domain: 'lab.example', decisions: 4, changed: 3 },
      { domain: 'town.example', decisions: 1, changed: 1 },
    ])
    assert.deepEqual(told.peopleNewlyAsked, { count: 2, addresses: ['ida@town.example', 'max@lab.example'] })
  })
})

describe('the stored decisions', () => {
  let folder: string
  let db: Db
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'simulate-'))
    db = openSqlite(join(folder, 'db'))
    await migrate(db, join(packageRoot, 'migrations'))
  })
  after(async () => {
    await db?.close()
    await rm(folder, { recursive: true })
  })

  const now = Date.now()
  const then = policy('tls, escrow')
  function stored(facts: PlanFacts, attempts: readonly (readonly StepResult[])[], { at = now, known = true } = {}): Statement[] {
    const id = newId()
    return attempts.map((steps, i) => {
      const made = decisionRecord({ at: at + i, attempt: i + 1, plan: plan({ ...then, revision: 1 }, facts), facts, steps, outcome: 'x' })
      const record = JSON.stringify(i === 0 && known ? made : { ...made, facts: null })
      return sql`INSERT INTO decision (recipient, attempt, at, policy_revision, record) VALUES (${id}, ${i + 1}, ${at + i}, ${1}, ${record})`
    })
  }

  test('are read once a recipient, with the facts of the first attempt and the steps of the last, over any number of pages', async () => {
    const waited = step('tls', 'deferred', 'certificate-expired', { row: 'expired' })
    const statements = Array.from({ length: 2100 }, (_, i) => {
      const facts = factsOf({ recipient: `r${i}@lab.example` })
      return i % 3 === 0 ? stored(facts, [[waited], [waited], inLetter('certificate-expired')]) : stored(facts, [byTls])
    })
    const own = stored(factsOf(), [byTls], { known: false })
    const old = stored(factsOf({ recipient: 'old@lab.example' }), [byTls], { at: now - 40 * 86_400_000 })
    await db.write(...statements.flat(), ...own, ...old)
    const found: Replayed[] = []
    for await (const { decisions } of decisionsSince(db, now - 30 * 86_400_000)) found.push(...decisions)
    assert.deepEqual(
      found.map(({ facts }) => facts.recipient),
      Array.from({ length: 2100 }, (_, i) => `r${i}@lab.example`),
    )
    assert.ok(found.every(({ steps }, i) => steps.length === 2 && steps[0]?.result === (i % 3 === 0 ? 'unsuitable' : 'delivered')))

    const policies = policyStore({ db, clock: () => now, methods, signer: signerOf(Buffer.alloc(32, 1)), settings })
    await policies.apply('version: 1\ndefault:\n  deliver: [tls, escrow]\n', { by: 'test', comment: '' })
    const progress: number[] = []
    const told = await runSimulation(
      policy('tls, bounce'),
      { db, clock: () => now, policies, settings },
      { since: now - 30 * 86_400_000, against: 'then', onProgress: (done) => progress.push(done) },
    )
    assert.deepEqual([told.decisions, told.changed, told.byChange], [2100, 700, [{ from: 'escrow', to: 'bounce', count: 700 }]])
    assert.deepEqual([told.cannotTell.count, progress.at(-1), progress.length > 3], [0, 3502, true])
  })
})
