import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { DomainCheck } from '../../src/monitor/check.ts'
import { keepProbe } from '../../src/monitor/history.ts'
import { openDatabase } from '../../src/store/open.ts'
import { runProgram } from '../world/program.ts'
import { writeSettings } from '../world/settings-file.ts'
import { type Peers, startPeers } from './world.ts'

let folder: string
let peers: Peers
let config: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-domain-'))
  peers = await startPeers(folder, {
    'lab.example': {},
    'old.example': { certificate: 'expired' },
    'plain.example': { certificate: 'none' },
  })
  config = join(folder, 'letterlock.yaml')
  await writeSettings(config, peers.settings)
})
after(async () => {
  await peers?.close()
  await rm(folder, { recursive: true, force: true })
})

const letterlock = (args: string[], env?: Record<string, string>) =>
  runProgram([...args, '--config', config], { folder, ...(env && { env }) })

test('domain check --json tells every host, a verdict per level, what we would do, and the fix', async () => {
  const ran = await letterlock(['domain', 'check', 'old.example', '--json'])
  assert.equal(ran.code, 0, ran.err)
  assert.equal(ran.err, '', 'nobody watches, so nothing is told')
  const found = JSON.parse(ran.out) as DomainCheck
  assert.deepEqual(found.mx[0]?.verdict, { encrypted: true, verified: false, authenticated: false, dane: false })
  assert.match(found.wouldBe, /^would become a letter because certificate expired or not yet valid \(certificate-expired\)/)
  assert.match(found.advice, /^Renew the certificate of mx\.old\.example, it expired on \d{4}-\d\d-\d\d\.$/)
  assert.ok(found.steps.length >= 9 && found.steps.every(({ ms }) => ms >= 0))
  assert.equal(peers.partners['old.example']?.lines.filter(({ line }) => line.startsWith('MAIL')).length, 0)
})

test('for a person the steps come as they happen, then the answer first and all columns aligned', async () => {
  const ran = await letterlock(['domain', 'check', 'Somebody@LAB.example'])
  assert.equal(ran.code, 0, ran.err)
  assert.match(ran.err, /Looking at lab\.example/)
  for (const step of ['mx', 'sts', 'addresses', 'tlsa', 'connect', 'greeting', 'ehlo', 'starttls', 'certificate'])
    assert.match(ran.err, new RegExp(`^  ok    ${step.padEnd(11)}  +\\d+ ms  `, 'm'))
  const lines = ran.out.split('\n')
  assert.match(lines[0] ?? '', /^lab\.example: VERIFIED, /)
  assert.match(ran.out, /^A message now {2}would go by tls, verified$/m)
  assert.match(ran.out, /^To repair {6}nothing$/m)
  const [titles, row] = lines.filter((line) => /ENCRYPTED|^mx\.lab\.example +yes/.test(line))
  assert.equal(titles?.indexOf('VERIFIED'), row?.indexOf('yes', (row?.indexOf('yes') ?? 0) + 3))
})

test('what is no domain ends with 65, dead DNS with 69, a report is not available yet', async () => {
  for (const bad of ['not a domain', 'localhost', 'a..b']) assert.equal((await letterlock(['domain', 'check', bad])).code, 65, bad)
  const deaf = await letterlock(['domain', 'check', 'lab.example'], { LETTERLOCK_DNS_SERVERS: '127.0.0.1:9' })
  assert.equal(deaf.code, 69)
  assert.match(deaf.err, /DNS cannot be reached/)
  const report = await letterlock(['domain', 'report'])
  assert.equal(report.code, 69)
  assert.match(report.err, /domain report is not available in this version/)
})

test('a domain that does not exist is an answer, not a failure', async () => {
  const ran = await letterlock(['domain', 'check', 'gone.example'])
  assert.equal(ran.code, 0)
  assert.match(ran.out, /the domain gone\.example does not exist/)
  assert.match(ran.out, /would be returned to its sender because there is no such domain \(domain-not-found\)/)
})

test('domain list and show tell posture, since when, and a strip of history', async () => {
  assert.match((await letterlock(['domain', 'list'])).out, /^No domain is probed yet/)
  assert.equal((await letterlock(['domain', 'show', 'lab.example'])).code, 65)
  const good = JSON.parse((await letterlock(['domain', 'check', 'lab.example', '--json'])).out) as DomainCheck
  const bad = JSON.parse((await letterlock(['domain', 'check', 'plain.example', '--json'])).out) as DomainCheck
  const db = await openDatabase(peers.settings)
  try {
    const day = 86_400_000
    for (const [i, check] of [good, good, { ...bad, domain: 'lab.example' }].entries()) {
      const at = Date.parse('2026-01-01') + i * day
      await keepProbe(db, { ...check, at }, at + day)
    }
  } finally {
    await db.close()
  }
  const { domains } = JSON.parse((await letterlock(['domain', 'list', '--json'])).out)
  assert.deepEqual(
    [domains.length, domains[0].domain, domains[0].posture, domains[0].fallenFrom, domains[0].reason],
    [1, 'lab.example', 'clear', 'verified', 'starttls-not-supported'],
  )
  assert.match((await letterlock(['domain', 'list'])).out, /^lab\.example +clear, downgraded from verified +2026-01-03 00:00:00Z/m)
  const shown = await letterlock(['domain', 'show', 'lab.example'])
  assert.match(shown.out, /^lab\.example: clear, downgraded from verified since 2026-01-03/)
  assert.match(shown.out, /history VVC {2}\(V verified, C clear; since 2026-01-01\)/)
  assert.match(shown.out, /lab\.example: CLEAR, .*; no STARTTLS is offered \(starttls-not-supported\)\.$/m)
  assert.match((await letterlock(['domain', 'list'])).out, / {2}no STARTTLS is offered \(starttls-not-supported\) {2}/)
  assert.match(shown.out, /Offer STARTTLS on mx\.plain\.example\./)
  const json = JSON.parse((await letterlock(['domain', 'show', 'lab.example', '--json'])).out)
  assert.deepEqual(
    json.history.map(({ posture }: { posture: string }) => posture),
    ['verified', 'verified', 'clear'],
  )
  assert.equal(json.facts.mx[0].host, 'mx.plain.example')
})
