/** What attempts are counted as: once each, and not at all where they are not recorded. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { type DeliveryParts, deliverGroup } from '../../src/delivery/deliver.ts'
import type { Outcome } from '../../src/mail/outcome.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { claimGroups } from '../../src/spool/claim.ts'
import type { SpoolParts } from '../../src/spool/parts.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { readCounts } from '../../src/store/count.ts'
import { sql, Unexpected } from '../../src/store/db.ts'
import { openDatabase } from '../../src/store/open.ts'
import { acceptMail } from '../world/accept.ts'

let folder: string
let now: number
let spoolParts: SpoolParts
let parts: DeliveryParts
let answers: { [method: string]: Outcome }
let timed: [string, number][]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tally-'))
  const settings = defaultSettings({ data: folder, database: `sqlite:${join(folder, 'db')}`, 'organisation.domains': ['org.example'] })
  now = 1_000_000
  const clock = () => now
  const [db, keyring] = [await openDatabase(settings), await openKeyring(join(folder, 'keys'), clock)]
  spoolParts = { settings, clock, db, keyring, blobs: openBlobs(join(folder, 'blobs')) }
  answers = {}
  timed = []
  parts = {
    ...{ spoolParts, settings, clock, spool: createSpool(spoolParts), log: pino({ level: 'silent' }) },
    timed: (method, milliseconds) => void timed.push([method, milliseconds]),
    planFor: async (revision, facts) => ({
      facts,
      plan: {
        ...{ revision, fingerprint: 'f', rule: { name: 'default', line: 1 }, trace: [] },
        steps: ['tls', 'pgp', 'escrow'].map((method) => ({ method, options: {} })),
      },
    }),
    attemptStep: async ({ method }, { recipients }) =>
      new Map(recipients.map(({ id }) => [id, { outcome: answers[method] ?? assert.fail(`nobody asked for ${method}`) }])),
  }
})

afterEach(async () => {
  spoolParts.keyring.close()
  await spoolParts.db.close()
  await rm(folder, { recursive: true, force: true })
})

async function attempt(): Promise<void> {
  for (const group of await claimGroups(spoolParts, 10)) await deliverGroup(parts, group, new AbortController().signal)
}

/** `deliveries tls none deferred`: how often. */
const counts = async () =>
  Object.fromEntries(
    (await readCounts(spoolParts.db)).map(({ name, labels, by }) => [
      [name.replace(/^letterlock_(.*)_total$/, '$1'), ...Object.values(labels)].join(' '),
      by,
    ]),
  )

const delivered = { kind: 'delivered', assurance: 'verified', text: 'taken', evidence: {} } as const satisfies Outcome
const unsuitable = (reason: 'certificate-expired' | 'no-key'): Outcome => ({ kind: 'unsuitable', reason, text: 'no', evidence: {} })
const deferred = (reason: 'certificate-expired' | 'unreachable'): Outcome => ({
  ...{ kind: 'deferred', reason, text: 'later', evidence: {} },
  retry: { then: 'failed' },
})

test('each recipient of a delivery is counted, and timed from acceptance', async () => {
  await acceptMail(spoolParts, 'From: s@org.example\r\n\r\nx\r\n', ['a@lab.example', 'b@lab.example'])
  now += 2500
  answers.tls = delivered
  await attempt()
  assert.deepEqual(await counts(), { messages_accepted: 1, 'deliveries tls verified delivered': 2, 'decisions tls none': 2 })
  assert.deepEqual(timed, [
    ['tls', 2500],
    ['tls', 2500],
  ])
})

test('a TLS failure counts with the attempt at which it happened, not again when a later step is tried again', async () => {
  await acceptMail(spoolParts, 'From: s@org.example\r\n\r\nx\r\n', ['a@lab.example'])
  answers.tls = deferred('certificate-expired')
  await attempt()
  assert.equal((await counts())['tls_failures certificate-expired'], 1)
  now += 1_200_000
  answers.tls = unsuitable('certificate-expired')
  answers.pgp = deferred('unreachable')
  await attempt()
  now += 1_200_000
  answers.tls = assert.fail.bind(undefined, 'passed by') as never
  answers.pgp = unsuitable('no-key')
  answers.escrow = delivered
  await attempt()
  assert.deepEqual(await counts(), {
    messages_accepted: 1,
    'tls_failures certificate-expired': 2,
    'deliveries tls none deferred': 1,
    'decisions tls certificate-expired': 1,
    'deliveries pgp none deferred': 1,
    'decisions pgp unreachable': 1,
    'deliveries escrow verified delivered': 1,
    'decisions escrow certificate-expired': 1,
  })
})

test('what is no fault of the channel is no TLS failure', async () => {
  await acceptMail(spoolParts, 'From: s@org.example\r\n\r\nx\r\n', ['a@lab.example'])
  answers.tls = deferred('unreachable')
  await attempt()
  assert.deepEqual(await counts(), { messages_accepted: 1, 'deliveries tls none deferred': 1, 'decisions tls unreachable': 1 })
})

test('an attempt whose claim was lost is counted by nobody but those who have the claim', async () => {
  await acceptMail(spoolParts, 'From: s@org.example\r\n\r\nx\r\n', ['a@lab.example'])
  const [late] = await claimGroups(spoolParts, 1)
  now += spoolParts.settings['limits.claim'] + 1
  const [taken] = await claimGroups(spoolParts, 1)
  answers.tls = delivered
  const signal = new AbortController().signal
  await assert.rejects(deliverGroup(parts, late ?? assert.fail(), signal), Unexpected)
  assert.deepEqual([await counts(), timed], [{ messages_accepted: 1 }, []])
  await deliverGroup(parts, taken ?? assert.fail(), signal)
  assert.equal((await counts())['deliveries tls verified delivered'], 1)
  assert.equal(timed.length, 1)
})

for (const reason of ['not-available', 'downgrade-suspected'] as const)
  test(`a TLS failure counts as what it was, also where a letter is then held (${reason}) and goes back to before it`, async () => {
    await acceptMail(spoolParts, 'From: s@org.example\r\n\r\nx\r\n', ['a@lab.example'])
    answers.tls = unsuitable('certificate-expired')
    answers.pgp = unsuitable('no-key')
    const attemptStep: DeliveryParts['attemptStep'] = async (step, attempt) => {
      if (step.method !== 'escrow') return parts.attemptStep(step, attempt)
      const outcome = { kind: 'deferred', reason, text: 'held', evidence: {}, retry: { then: 'failed' } } as const
      return new Map(attempt.recipients.map(({ id }) => [id, { outcome, hold: { backTo: 0 } }]))
    }
    for (const group of await claimGroups(spoolParts, 10))
      await deliverGroup({ ...parts, attemptStep }, group, new AbortController().signal)
    assert.deepEqual(await counts(), {
      messages_accepted: 1,
      'tls_failures certificate-expired': 1,
      'deliveries escrow none held': 1,
      [`decisions escrow ${reason}`]: 1,
    })
  })

test('what was held without an attempt is counted as held by no way', async () => {
  const id = await acceptMail(spoolParts, 'From: s@org.example\r\n\r\nx\r\n', ['a@lab.example'])
  await spoolParts.db.write(sql`UPDATE content SET inline_payload = ${Buffer.from('x')} WHERE message = ${id}`)
  await attempt()
  assert.deepEqual(await counts(), { messages_accepted: 1, 'deliveries none none held': 1, 'decisions none content-damaged': 1 })
})

test('mail of our own is counted apart, and its acceptance is none', async () => {
  const mail = parts.spool.draft({
    ...{
      kind: 'notice',
      about: 'letter',
      content: Buffer.from('From: l@org.example\r\n\r\nx\r\n'),
      steps: [{ method: 'tls', options: {} }],
    },
    envelope: { reversePath: '', recipients: [{ address: 'a@lab.example', notify: [], bcc: false }], body: '7bit', smtpUtf8: false },
    ...{ messageId: '<2@org.example>', headerFrom: 'l@org.example' },
  })
  await spoolParts.db.write(...mail.statements)
  answers.tls = delivered
  await attempt()
  assert.deepEqual([await counts(), timed], [{ 'own_mail notice delivered': 1 }, []])
})
