/** Makes 100,000 stored decisions and prints how long `policy simulate` takes over them: `node --import tsx bench/simulate.ts [COUNT]`. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newId } from '../src/mail/id.ts'
import type { StepResult } from '../src/mail/plan.ts'
import { methods } from '../src/methods/index.ts'
import { defaultSettings } from '../src/ops/settings.ts'
import type { PlanFacts } from '../src/routing/facts.ts'
import { parsePolicy } from '../src/routing/parse.ts'
import { plan } from '../src/routing/plan.ts'
import type { Policy } from '../src/routing/policy.ts'
import { decisionRecord } from '../src/routing/record.ts'
import { runSimulation } from '../src/routing/simulation.ts'
import { policyStore } from '../src/routing/store.ts'
import { signerOf } from '../src/seal/signer.ts'
import { type Db, sql } from '../src/store/db.ts'
import { openDatabase } from '../src/store/open.ts'

const rules = Array.from(
  { length: 30 },
  (_, i) => `  - { name: partner-${i}, when: { to: partner${i}.example }, deliver: [{ tls: { level: authenticated } }] }`,
)
const text = `version: 1
rules:
${rules.join('\n')}
  - { name: sensitive, when: { detect: [payment-card, iban], not: { is: encrypted } }, deliver: [tls, pgp, escrow] }
  - { name: large, when: { size: { over: 20MiB } }, deliver: [escrow] }
default:
  deliver: [tls, pgp, smime, escrow]
`
const nextText = text.replace('deliver: [tls, pgp, smime, escrow]', 'deliver: [{ tls: { level: authenticated } }, pgp, escrow]')

const settings = defaultSettings({ 'organisation.domains': ['org.example'] })

function policyOf(source: string): Policy {
  const read = parsePolicy(source, methods)
  if (read.kind === 'errors') throw new Error(JSON.stringify(read.problems))
  return read.policy
}

const certificate = {
  subject: 'CN=mx.lab.example',
  issuer: 'C=US, O=Example Trust, CN=Example Authority R3',
  notBefore: '2026-01-01T00:00:00.000Z',
  notAfter: '2026-12-31T00:00:00.000Z',
  fingerprint256: Array(32).fill('AB').join(':'),
}

function stepsOf(i: number, domain: string): StepResult[] {
  const seen = { host: `mx.${domain}`, address: '192.0.2.7', port: 25, protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', certificate }
  const [tls, ...others] = ['tls', 'pgp', 'smime', 'escrow', 'bounce'].map(
    (method): StepResult => ({ method, result: 'not-tried', reason: null, text: '', evidence: {} }),
  )
  if (tls === undefined) return []
  const text = `mx.${domain} (192.0.2.7:25) took it over TLSv1.3, verified: "250 2.0.0 Ok: queued as 4F5A6B7C8D"`
  if (i % 7 > 0) {
    const identity = i % 3 === 0 ? 'webpki' : 'webpki (MX name from unsigned DNS)'
    return [{ ...tls, result: 'delivered', text, evidence: { ...seen, identity, reply: '250 2.0.0 Ok', ms: 140, dsn: true } }, ...others]
  }
  const [pgp, smime, escrow, bounce] = others
  return [
    { ...tls, result: 'unsuitable', reason: 'certificate-not-trusted', text: 'self-signed', evidence: seen },
    ...[pgp, smime].flatMap((step) => (step ? [{ ...step, result: 'unsuitable' as const, reason: 'no-key' as const }] : [])),
    ...(escrow ? [{ ...escrow, result: 'delivered' as const }] : []),
    ...(bounce ? [bounce] : []),
  ]
}

async function fill(db: Db, count: number, policy: Policy): Promise<void> {
  const now = Date.now()
  for (let from = 0; from < count; from += 1000) {
    await db.write(
      ...Array.from({ length: Math.min(1000, count - from) }, (_, j) => {
        const i = from + j
        const domain = i % 50 < 30 ? `partner${i % 30}.example` : `d${i % 2003}.example`
        const facts: PlanFacts = {
          reversePath: `user${i % 211}@org.example`,
          recipient: `person${i % 20011}@${domain}`,
          mail: {
            ...{ headerFrom: `user${i % 211}@org.example`, subjectTags: [], autoSubmitted: false, dsn: false, encrypted: false },
            ...{ signed: false, calendar: false, rightsManaged: false, forwarded: false },
          },
          size: 2000 + ((i * 7919) % 900_000),
          client: { address: '10.0.0.5', authenticatedAs: null },
          headers: Object.fromEntries(['sensitivity', 'importance', 'priority', 'list-id', 'msip_labels'].map((name) => [name, []])),
          detected: { 'payment-card': 0, iban: i % 97 === 0 ? 1 : 0 },
          at: now,
        }
        const made = { at: now, attempt: 1, plan: plan(policy, facts), facts, steps: stepsOf(i, domain), outcome: 'delivered' }
        return sql`INSERT INTO decision (recipient, attempt, at, policy_revision, record)
          VALUES (${newId()}, ${1}, ${now}, ${1}, ${JSON.stringify(decisionRecord(made))})`
      }),
    )
  }
}

const count = Number(process.argv[2] ?? 100_000)
const folder = await mkdtemp(join(tmpdir(), 'letterlock-simulate-'))
const db = await openDatabase({ ...settings, data: folder, database: `sqlite:${join(folder, 'db')}` })
try {
  const policies = policyStore({ db, clock: Date.now, methods, signer: signerOf(Buffer.alloc(32, 1)), settings })
  await policies.apply(text, { by: 'bench', comment: '' })
  await fill(db, count, (await policies.current()).policy)
  const [size] = await db.read<{ bytes: number }>(sql`SELECT SUM(LENGTH(record)) AS bytes FROM decision`)
  for (const [name, next] of [
    ['another default', nextText],
    ['the same policy', text],
  ] as const) {
    const [started, used] = [performance.now(), process.cpuUsage()]
    const told = await runSimulation(
      policyOf(next),
      { db, clock: Date.now, policies, settings },
      { since: Date.now() - 86_400_000, against: 'now' },
    )
    const { user, system } = process.cpuUsage(used)
    const seconds = (performance.now() - started) / 1000
    const { decisions, changed, cannotTell, peopleNewlyAsked } = told
    process.stdout.write(
      `${name}: ${decisions} decisions (${Math.round((size?.bytes ?? 0) / 1e6)} MB) in ${seconds.toFixed(2)} s, ${((user + system) / 1e6).toFixed(2)} s of processor; ${changed} changed, ${peopleNewlyAsked.count} newly asked, ${cannotTell.count} not told\n`,
    )
  }
} finally {
  await db.close()
  await rm(folder, { recursive: true })
}
