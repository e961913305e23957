import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { runProgram } from '../world/program.ts'
import { writeSettings } from '../world/settings-file.ts'
import { startWorld, type World } from './world.ts'

let world: World
let folder: string
let config: string
before(async () => {
  world = await startWorld({ 'lab.example': {}, 'town.example': { certificate: 'none' }, 'diy.example': { certificate: 'self-signed' } })
  folder = await mkdtemp(join(tmpdir(), 'letterlock-policy-'))
  config = join(folder, 'letterlock.yaml')
  await writeSettings(config, world.settings)
})
after(async () => {
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

/** `letterlock policy …` as an admin runs it, beside the running gateway. */
const policy = (...args: string[]) => runProgram(['policy', ...args, '--config', config], { folder })

async function json(...args: string[]) {
  const ran = await policy(...args, '--json')
  assert.equal(ran.code, 0, ran.err)
  return JSON.parse(ran.out)
}

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(folder, name), text)
  return name
}

const good = `version: 1
rules:
  - name: marked
    when: { subject-tag: portal }
    deliver: [escrow]
default:
  deliver: [tls, pgp, escrow]
tests:
  - { from: ann@org.example, to: max@lab.example, given: { tls: none }, expect: escrow }
  - { from: ann@org.example, to: max@lab.example, subject: "[portal] x", expect: escrow, rule: marked }
  - { invariant: never-plaintext }
`
const failing = good.replace('expect: escrow }', 'expect: tls }')
const stricter = good.replace('deliver: [tls, pgp, escrow]', 'deliver: [{ tls: { level: authenticated } }, pgp, escrow]')

test('a policy is checked, tested and applied; one with a failing test is refused with 65 and changes nothing', async () => {
  const [ok, bad] = [await file('good.yaml', good), await file('failing.yaml', failing)]
  const checked = await json('check', ok)
  assert.deepEqual([checked.valid, checked.rules, checked.tests], [true, 1, 3])
  assert.equal((await policy('test', ok)).code, 0)
  const junit = await policy('test', bad, '--junit')
  assert.equal(junit.code, 65)
  assert.match(junit.out, /<testsuite name="policy" tests="3" failures="1"[\s\S]*<failure message="expected tls, but it would be escrow/)
  assert.equal((await policy('check', 'gone.yaml')).err, 'letterlock: gone.yaml: it cannot be read: there is no such file (ENOENT)\n')
  const mistyped = await policy('test', await file('mistyped.yaml', good.replace('[escrow]', '[escro]')), '--junit')
  assert.equal(mistyped.code, 65)
  assert.match(
    mistyped.out,
    /<testsuite name="policy" tests="1" failures="0" errors="1"[\s\S]*<error message="mistyped\.yaml:5:\d+: step &quot;escro&quot;/,
  )
  const applied = await json('apply', ok, '--comment', 'first of ours')
  assert.equal(applied.kind, 'applied')
  for (const verb of ['check', 'apply']) {
    const ran = await policy(verb, bad)
    assert.deepEqual([ran.code, ran.out], [65, ''])
    assert.match(ran.err, /failing\.yaml:9:\d+: the test fails/)
  }
  assert.equal((await json('show')).revision, applied.revision)
})

test('history, diff and rollback tell and undo what was applied', async () => {
  const other = await file('other.yaml', good.replace('[tls, pgp, escrow]', '[tls, escrow]'))
  const { revision } = await json('apply', other)
  const { revisions } = await json('history')
  assert.deepEqual([revisions[0].revision, revisions[1].comment, revisions[0].ours], [revision, 'first of ours', true])
  assert.match((await policy('diff', String(revision))).out, /revision \d+ is the policy in force/)
  assert.match((await policy('diff', String(revision - 1))).out, /^-.*\[tls, pgp, escrow\]\n\+.*\[tls, escrow\]$/m)
  assert.match((await json('diff', String(revision - 1), String(revision))).diff, /\[tls, escrow\]/)
  assert.equal((await json('rollback', String(revision - 1))).revision, revision + 1)
  assert.equal((await json('show')).text, good)
})

test('the schema is a JSON Schema', async () => {
  const ran = await policy('schema')
  assert.equal(ran.code, 0)
  assert.match(JSON.parse(ran.out).$schema, /json-schema\.org/)
})

test('a preview tells what would happen now, by looking at the domain', async () => {
  const preview = (to: string, ...more: string[]) => json('preview', '--from', 'ann@org.example', '--to', to, ...more)
  const lab = await preview('max@lab.example')
  assert.deepEqual(
    [lab.method, lab.assurance, lab.rule.name, lab.domain.posture, lab.text],
    ['tls', 'verified', 'default', 'verified', 'would go by tls, verified'],
  )
  const town = await preview('max@town.example')
  assert.deepEqual(
    [town.method, town.proof, town.refused.map(({ reason }: { reason: string }) => reason)],
    ['escrow', 'code', ['starttls-not-supported', 'no-key']],
  )
  assert.deepEqual(
    town.refused.map(({ text }: { text: string }) => text.replace(/, after .*/, '')),
    ['no STARTTLS is offered (starttls-not-supported)', 'no PGP key is known (no-key)'],
  )
  assert.equal(town.domain.reasonText, 'no STARTTLS is offered (starttls-not-supported)')
  assert.equal((await preview('max@lab.example', '--subject', '[Portal] offer')).rule.name, 'marked')
  assert.equal((await preview('max@lab.example', '--policy', await file('stricter.yaml', stricter))).method, 'escrow')
  const stored = await preview('max@lab.example', '--stored')
  assert.deepEqual(
    [stored.method, stored.domain.live, stored.text],
    ['unknown', false, 'cannot be told: the TLS of a domain that was not probed'],
  )
  assert.match(
    (await policy('preview', '--from', '<>', '--to', 'max@nowhere.example', '--stored')).out,
    /^What would become of a message from <> to max@nowhere\.example cannot be told: .+\(without --stored, the domain is looked at now\)\n[\s\S]* {2}domain {3}nowhere\.example: not probed yet\n/,
  )
  const shown = await policy('preview', '--from', '<>', '--to', 'max@diy.example')
  assert.match(
    shown.out,
    /^A message from <> to max@diy\.example would become a letter because certificate not trusted \(certificate-not-trusted\)\n/,
  )
  assert.match(shown.out, /^ {2}domain {3}diy\.example: encrypted, certificate not trusted \(certificate-not-trusted\), seen just now$/m)
})

test('a preview of a message shows what detectors find and where, masked', async () => {
  const message = [
    'From: ann@org.example',
    'To: max@lab.example',
    'Subject: =?utf-8?Q?Bill_for_M=C3=BCller?=',
    '',
    'Hello',
    'card 4111 1111 1111 1111',
    '',
  ]
  const eml = await file('bill.eml', message.join('\r\n'))
  const rules = good.replace('rules:', 'rules:\n  - { name: cards, when: { detect: payment-card }, deliver: [escrow] }')
  const args = ['--from', 'ann@org.example', '--to', 'max@lab.example', '--file', eml, '--policy', await file('cards.yaml', rules)]
  const told = await json('preview', ...args)
  assert.deepEqual([told.rule.name, told.method, told.facts.size], ['cards', 'escrow', message.join('\r\n').length])
  const [found] = told.detectors.filter(({ count }: { count: number }) => count > 0)
  assert.deepEqual(
    [found.name, found.asked, found.samples],
    ['payment-card', true, [{ place: 'text', line: 2, masked: '•••• •••• •••• 1111' }]],
  )
  const shown = await policy('preview', ...args)
  assert.match(shown.out, /found {4}payment-card: 1\n +text, line 2: •••• •••• •••• 1111/)
  assert.doesNotMatch(shown.out + JSON.stringify(told), /4111/)
  const odd = await file('odd.eml', 'From: ann@org.example\r\nContent-Transfer-Encoding: x-odd\r\n\r\nHello\r\n')
  const unread = await policy('preview', ...args.map((arg) => (arg === eml ? odd : arg)))
  assert.match(unread.out, /found {4}the content could not be looked into, which counts as found/)
})

test('a simulation tells what changes for past mail, and who would newly be asked to the portal', async () => {
  const write = async (...to: string[]) =>
    world.settled(await world.send({ from: 'ann@org.example', to, subject: 'Results', text: 'Well.' }))
  await write('max@lab.example', 'ida@town.example')
  await write('max@lab.example')
  const told = await json('simulate', await file('stricter.yaml', stricter), '--since', '1h')
  assert.deepEqual(told.byChange, [{ from: 'tls', to: 'escrow', count: 2 }])
  assert.deepEqual([told.decisions, told.changed, told.cannotTell.count], [3, 2, 0])
  assert.deepEqual(told.peopleNewlyAsked, { count: 1, addresses: ['max@lab.example'] })
  assert.deepEqual(told.byDomain, [{ domain: 'lab.example', decisions: 2, changed: 2 }])
  const shown = await policy('simulate', 'stricter.yaml')
  assert.deepEqual([shown.code, shown.err], [0, ''], 'nobody watches, so no progress is drawn')
  assert.match(shown.out, /over 3 decisions of the last 30d, compared with the policy in force: 2 change\n/)
  assert.match(shown.out, /^tls +escrow +2$/m)
  assert.match(shown.out, /Newly asked to read in the portal: 1 person\n {2}max@lab\.example/)
  assert.match((await policy('simulate', 'good.yaml')).out, /nothing changes/)
  const copied = await file('copied.yaml', good.replace(/(default:\s*\n\s*)deliver/, '$1also-to: journal@org.example\n  deliver'))
  assert.match(
    (await policy('simulate', copied)).out,
    /no mail would go another way\n\nCOPIES TO +BEFORE +THEN\njournal@org\.example +0 +\d/,
  )
})

test('a check warns of a level that no partner of the rule has met in past mail', async () => {
  const { warnings } = await json('check', 'stricter.yaml')
  const [past] = warnings.filter(({ text }: { text: string }) => text.includes('has met'))
  assert.match(past.text, /^rule "default" asks for tls authenticated, which none of its 2 domains has met in 90 days \(3 decisions\)$/)
  assert.equal(past.line, 7)
  const met = await json('check', 'good.yaml')
  assert.ok(met.warnings.every(({ text }: { text: string }) => !text.includes('has met')))
})

test('what is wrong ends with its own code: 64 for the command line, 65 for what it names, 69 for what is away', async () => {
  const code = async (...args: string[]) => (await policy(...args)).code
  assert.deepEqual(
    await Promise.all([
      code('simulate', 'good.yaml', '--since', 'yesterday'),
      code('preview', '--from', 'ann@org.example'),
      code('diff', 'one'),
      code('simulate', 'nothing.yaml'),
      code('preview', '--from', 'ann', '--to', 'max@lab.example'),
      code('preview', '--from', 'ann@org.example', '--to', 'max@lab.example', '--file', 'nothing.eml'),
      code('rollback', '999'),
    ]),
    [64, 64, 64, 65, 65, 65, 65],
  )
  await writeFile(
    join(folder, 'deaf.yaml'),
    JSON.stringify({ ...JSON.parse(await readFile(config, 'utf8')), dns: { servers: ['127.0.0.1:9'] } }),
  )
  const before = config
  config = join(folder, 'deaf.yaml')
  const deaf = await policy('preview', '--from', 'ann@org.example', '--to', 'max@lab.example')
  config = before
  assert.equal(deaf.code, 69)
  assert.match(deaf.err, /DNS cannot be reached/)
})
