import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Party, type WalkParts, walk } from '../../src/delivery/walk.ts'
import type { Outcome, Retry } from '../../src/mail/outcome.ts'
import type { Plan } from '../../src/mail/plan.ts'
import type { ClaimedRecipient } from '../../src/spool/claim.ts'
import { counted } from '../../src/spool/schedule.ts'

const minute = 60_000
const plan = (...methods: string[]): Plan => ({
  revision: 1,
  fingerprint: 'f',
  rule: { name: 'default', line: 1 },
  steps: [...methods, 'bounce'].map((method) => ({ method, options: {} })),
  trace: [],
})
const recipient = (id: string, more: Partial<ClaimedRecipient> = {}): ClaimedRecipient => ({
  id,
  address: `${id}@lab.example`,
  notify: [],
  bcc: false,
  frozen: undefined,
  step: 0,
  stepSince: undefined,
  attempts: 0,
  stepAttempts: 0,
  delayNoticed: false,
  inDoubt: false,
  returning: false,
  fence: 1,
  unended: 0,
  ...more,
})
const delivered: Outcome = { kind: 'delivered', assurance: 'verified', text: 'taken', evidence: {} }
const unsuitable: Outcome = { kind: 'unsuitable', reason: 'starttls-not-supported', text: 'no TLS', evidence: {} }
const failed: Outcome = { kind: 'failed', reason: 'recipient-refused', status: '5.1.1', text: 'unknown', evidence: {} }
const deferred = (retry: Retry): Outcome => ({ kind: 'deferred', reason: 'certificate-expired', text: 'expired', evidence: {}, retry })

/** A world in which each method answers each recipient as told; what was asked is remembered. */
function world(answers: { [method: string]: Outcome | { [recipient: string]: Outcome } }, now = 0) {
  const asked: string[] = []
  const parts: WalkParts = {
    attempt: async ({ method }, { recipients }) => {
      asked.push(`${method}: ${recipients.map(({ id }) => id).join(' ')}`)
      const answer = answers[method] ?? {}
      return new Map(recipients.map(({ id }) => [id, { outcome: ('kind' in answer ? answer : answer[id]) as Outcome }]))
    },
    now: () => now,
    jitter: () => 0.5,
    timing: { schedule: [5 * minute], lifetime: 100 * minute },
    acceptedAt: 0,
  }
  return { asked, parts }
}
const party = (recipients: ClaimedRecipient[], ...methods: string[]): Party => ({
  plan: plan(...methods),
  step: recipients[0]?.step ?? 0,
  recipients,
})

test('the walk ends at the first method that delivers, and later ones are not asked', async () => {
  const { asked, parts } = world({ tls: delivered, escrow: delivered })
  const [end] = await walk(party([recipient('a')], 'tls', 'escrow'), parts)
  assert.deepEqual([end?.method, end?.outcome.kind, asked], ['tls', 'delivered', ['tls: a']])
})

test('"unsuitable" takes the next step and is remembered with its reason', async () => {
  const { asked, parts } = world({ tls: unsuitable, escrow: delivered })
  const [end] = await walk(party([recipient('a')], 'tls', 'escrow'), parts)
  assert.deepEqual(asked, ['tls: a', 'escrow: a'])
  assert.deepEqual([end?.step, end?.earlier.map(({ method, reason }) => `${method} ${reason}`)], [1, ['tls starttls-not-supported']])
})

test('recipients of one group part ways: each is in the answer exactly once', async () => {
  const { asked, parts } = world({ tls: { a: delivered, b: unsuitable, c: failed }, escrow: delivered })
  const ends = await walk(party([recipient('a'), recipient('b'), recipient('c')], 'tls', 'escrow'), parts)
  assert.deepEqual(asked, ['tls: a b c', 'escrow: b'])
  assert.deepEqual(ends.map(({ recipient: { id }, method, outcome }) => `${id} ${method} ${outcome.kind}`).sort(), [
    'a tls delivered',
    'b escrow delivered',
    'c tls failed',
  ])
})

test('a deferral stays at its step and says when it is tried again', async () => {
  const { parts } = world({ tls: deferred({ offsets: [0, minute], then: 'unsuitable' }), escrow: delivered })
  const [end] = await walk(party([recipient('a')], 'tls', 'escrow'), parts)
  assert.deepEqual([end?.step, end?.outcome.kind, end?.nextAttemptAt, end?.stepAttempts], [0, 'deferred', minute, 1])
})

test('a deferral whose patience ended falls back in the same attempt', async () => {
  const soft = { offsets: [0, minute], then: 'unsuitable' } as const
  const { asked, parts } = world({ tls: deferred(soft), escrow: delivered }, minute)
  const frozen = { plan: plan('tls', 'escrow'), earlier: [], waits: counted([], soft, 0) }
  const [end] = await walk(party([recipient('a', { frozen, stepSince: 0, stepAttempts: 1 })], 'tls', 'escrow'), parts)
  assert.deepEqual([asked, end?.method, end?.earlier[0]?.reason], [['tls: a', 'escrow: a'], 'escrow', 'certificate-expired'])
})

test('a deferral may become another reason when its patience ends', async () => {
  const held = { offsets: [0, minute], then: 'unsuitable', as: 'downgrade-suspected' } as const
  const { parts } = world({ tls: deferred(held), escrow: delivered }, minute)
  const frozen = { plan: plan('tls', 'escrow'), earlier: [], waits: counted([], held, 0) }
  const [ending] = await walk(party([recipient('a', { frozen, stepSince: 0, stepAttempts: 1 })], 'tls', 'escrow'), parts)
  assert.deepEqual(
    ending?.earlier.map(({ reason }) => reason),
    ['downgrade-suspected'],
  )
})

test('mail that is held goes back to the step that it is to be tried by again, and says what held it', async () => {
  const { parts } = world({ pgp: unsuitable, tls: unsuitable, escrow: deferred({ then: 'failed' }) })
  const attempt: WalkParts['attempt'] = async (step, context) => {
    const answers = await parts.attempt(step, context)
    return step.method === 'escrow' ? new Map([...answers].map(([id, answer]) => [id, { ...answer, hold: { backTo: 1 } }])) : answers
  }
  const party = { plan: plan('pgp', 'tls', 'escrow'), step: 0, recipients: [recipient('a')] }
  const [ending] = await walk(party, { ...parts, attempt })
  assert.deepEqual([ending?.outcome.kind, ending?.step, ending?.method, ending?.stepAttempts], ['deferred', 1, 'escrow', 0])
  assert.deepEqual(
    ending?.earlier.map(({ method }) => method),
    ['pgp'],
  )
  assert.deepEqual(
    ending?.tried?.map(({ method }) => method),
    ['pgp', 'tls'],
  )
})

test('what a person must decide has no end, and goes on behind the step that held it', async () => {
  const { parts } = world({ tls: unsuitable, hold: deferred({ then: 'failed' }), escrow: delivered }, 1000 * minute)
  const attempt: WalkParts['attempt'] = async (step, context) => {
    const answers = await parts.attempt(step, context)
    return step.method === 'hold' ? new Map([...answers].map(([id, answer]) => [id, { ...answer, hold: { onward: true } }])) : answers
  }
  const [ending] = await walk(party([recipient('a')], 'tls', 'hold', 'escrow'), { ...parts, attempt })
  assert.deepEqual([ending?.outcome.kind, ending?.step, ending?.method, ending?.nextAttemptAt], ['deferred', 1, 'hold', undefined])
  const { step = 0, earlier = [] } = ending?.resume ?? {}
  assert.deepEqual([step, earlier.map(({ method }) => method)], [2, ['tls', 'hold']])
  const frozen = { plan: plan('tls', 'hold', 'escrow'), earlier }
  const [end] = await walk(party([recipient('a', { step, frozen })], 'tls', 'hold', 'escrow'), { ...parts, attempt })
  assert.deepEqual([end?.method, end?.outcome.kind], ['escrow', 'delivered'])
})

test('a hold that was released is no reason for what came later', async () => {
  const released = { method: 'hold', result: 'unsuitable', reason: 'held-by-rule', text: 'released', evidence: {} } as const
  const frozen = { plan: plan('hold', 'tls'), earlier: [released] }
  const [end] = await walk(party([recipient('a', { step: 1, frozen })], 'hold', 'tls'), world({ tls: unsuitable }).parts)
  assert.ok(end?.outcome.kind === 'failed' && end.outcome.reason === 'starttls-not-supported')
  assert.doesNotMatch(end.outcome.text, /hold|released/)
})

test('trouble that may pass gets its whole patience, however long a host was unreachable before', async () => {
  const { asked, parts } = world({ tls: deferred({ offsets: [0, minute], then: 'unsuitable' }), escrow: delivered }, 90 * minute)
  const [end] = await walk(party([recipient('a', { stepSince: 0, stepAttempts: 7 })], 'tls', 'escrow'), parts)
  assert.deepEqual([asked, end?.method, end?.outcome.kind, end?.nextAttemptAt], [['tls: a'], 'tls', 'deferred', 91 * minute])
})

test('a deferral past the life of the message fails', async () => {
  const { parts } = world({ tls: deferred({ then: 'failed' }) }, 100 * minute)
  const [end] = await walk(party([recipient('a', { stepSince: 0, stepAttempts: 9 })], 'tls'), parts)
  assert.deepEqual(end?.outcome.kind === 'failed' && [end.outcome.reason, end.outcome.status], ['certificate-expired', '4.4.7'])
})

test('a walk goes on where it stood, with what earlier attempts said', async () => {
  const { asked, parts } = world({ tls: delivered, pgp: unsuitable, escrow: delivered })
  const before = {
    plan: plan('tls', 'pgp', 'escrow'),
    earlier: [{ method: 'tls', result: 'unsuitable', reason: 'certificate-expired', text: '', evidence: {} }],
  } as const
  const [end] = await walk(party([recipient('a', { step: 1, frozen: before, stepSince: 0 })], 'tls', 'pgp', 'escrow'), parts)
  assert.deepEqual(asked, ['pgp: a', 'escrow: a'])
  assert.deepEqual(
    end?.earlier.map(({ method }) => method),
    ['tls', 'pgp'],
  )
})

test('when no step serves, the message fails with the reason of the first and tells all that was tried', async () => {
  const { parts } = world({ tls: unsuitable, pgp: { kind: 'unsuitable', reason: 'no-key', text: 'no key', evidence: {} } })
  const [end] = await walk(party([recipient('a')], 'tls', 'pgp'), parts)
  assert.equal(end?.method, 'bounce')
  assert.ok(end?.outcome.kind === 'failed' && end.outcome.reason === 'starttls-not-supported' && /no TLS.*no key/.test(end.outcome.text))
})

test('a plan of bounce alone says that the rule wants it so', async () => {
  const [end] = await walk(party([recipient('a')]), world({}).parts)
  assert.ok(end?.outcome.kind === 'failed' && end.outcome.reason === 'rule-says-bounce')
})

test('a method that forgets a recipient delays it and loses nothing', async () => {
  const { parts } = world({ tls: delivered })
  const [end] = await walk(party([recipient('a')], 'tls'), { ...parts, attempt: async () => new Map() })
  assert.ok(end?.outcome.kind === 'deferred' && end.outcome.reason === 'local-fault')
})
