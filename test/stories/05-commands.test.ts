import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { runProgram } from '../world/program.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-commands-'))
})
after(() => rm(folder, { recursive: true, force: true }))

/** Run the command as a person would, with a data folder of its own. */
const letterlock = (args: string[], { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {}) =>
  runProgram(args, { folder, input, env: { LETTERLOCK_DATA: join(folder, 'data'), ...env } })

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(folder, name), text)
  return name
}

test('a mistyped setting ends with 78 and names key, line and nearest key', async () => {
  const ran = await letterlock([
    'serve',
    '--config',
    await file('typo.yaml', 'hostname: gate.example.org\nsmtp:\n  listn: 127.0.0.1:2525\n'),
  ])
  assert.equal(ran.code, 78)
  assert.match(ran.err, /typo\.yaml:3/)
  assert.match(ran.err, /smtp\.listn/)
  assert.match(ran.err, /smtp\.listen/)
})

test('a policy with an error ends with 65, names line and column, and the policy in force stays', async () => {
  const before = JSON.parse((await letterlock(['policy', 'show', '--json'])).out)
  const bad = await file('bad.yaml', 'version: 1\nrules:\n  - name: one\n    when: { too: lab.example }\n    deliver: [tls]\n')
  for (const verb of ['check', 'apply']) {
    const ran = await letterlock(['policy', verb, bad])
    assert.equal(ran.code, 65)
    assert.match(ran.err, /bad\.yaml:4:\d+: .*too[\s\S]*did you mean "to"/)
  }
  assert.deepEqual(JSON.parse((await letterlock(['policy', 'show', '--json'])).out), before)
})

test('a good policy is applied with a new revision, and told to be in force when applied again', async () => {
  const good = await file('good.yaml', 'version: 1\ndefault:\n  deliver: [tls, escrow]\n')
  const first = await letterlock(['policy', 'apply', good, '--comment', 'shorter', '--json'])
  assert.equal(first.code, 0)
  const { revision } = JSON.parse(first.out)
  assert.ok(revision >= 1)
  assert.match((await letterlock(['policy', 'apply', good])).out, /nothing to do/)
  assert.match((await letterlock(['policy', 'show'])).out, new RegExp(`revision ${revision} .*shorter`))
})

test('lists are JSON when asked, and say so when they are empty', async () => {
  for (const [noun, key] of [
    ['message', 'messages'],
    ['letter', 'letters'],
    ['queue', 'queue'],
  ] as const) {
    assert.deepEqual(JSON.parse((await letterlock([noun, 'list', '--json'])).out), { [key]: [] })
    assert.match((await letterlock([noun, 'list'])).out, /^(No|There|Nothing)/)
  }
})

test('an unknown message is bad data, an unknown command a usage error, a later one not available', async () => {
  assert.deepEqual(
    [(await letterlock(['explain', 'nothing'])).code, (await letterlock(['explian', 'x'])).code, (await letterlock(['doctor'])).code],
    [65, 64, 69],
  )
  assert.match((await letterlock(['evidence', 'export', 'x'])).err, /not available in this version/)
})

test('users are added with a password from stdin, never from the command line, and can be disabled', async () => {
  assert.equal((await letterlock(['user', 'add', 'printer'], { input: 'short\n' })).code, 65)
  assert.equal((await letterlock(['user', 'add', 'printer'], { input: 'correct horse battery\n' })).code, 0)
  assert.equal((await letterlock(['user', 'disable', 'printer'])).code, 0)
  const { users } = JSON.parse((await letterlock(['user', 'list', '--json'])).out)
  assert.ok(users[0].name === 'printer' && users[0].disabledAt > 0)
  assert.equal((await letterlock(['user', 'disable', 'nobody'])).code, 65)
})

test('a key file that is no key is refused with its name', async () => {
  const ran = await letterlock(['keys', 'pgp', 'import', await file('key.asc', 'this is no key')])
  assert.equal(ran.code, 65)
  assert.match(ran.err, /key\.asc/)
})

test('settings print shows where each value comes from', async () => {
  const { settings } = JSON.parse(
    (await letterlock(['settings', 'print', '--json'], { env: { LETTERLOCK_SMTP_MAX_MESSAGE_SIZE: '10MiB' } })).out,
  )
  assert.ok(JSON.stringify(settings).includes('LETTERLOCK_SMTP_MAX_MESSAGE_SIZE'))
})

test('--config and --json stand anywhere, before the noun and after the verb', async () => {
  const config = await file('other.yaml', `data: ${join(folder, 'other')}\nhostname: other.example.org\n`)
  for (const args of [
    ['--config', config, '--json', 'message', 'list'],
    ['message', `--config=${config}`, 'list', '--json'],
    ['message', 'list', '--json', '--config', config],
  ]) {
    const ran = await letterlock(args)
    assert.deepEqual([ran.code, ran.err], [0, ''], args.join(' '))
    assert.deepEqual(JSON.parse(ran.out), { messages: [] })
  }
})

test('what comes later says so, noun or verb, and a typo is still a typo', async () => {
  for (const args of [
    ['message', 'recall', 'x'],
    ['user', 'link', 'x'],
    ['keys', 'smime', 'import', 'x'],
  ]) {
    const ran = await letterlock(args)
    assert.equal(ran.code, 69, args.join(' '))
    assert.match(ran.err, /not available in this version/)
  }
  assert.equal((await letterlock(['policy', 'histroy'])).code, 64)
  assert.equal((await letterlock(['message', 'list', '--method', 'pigeon'])).code, 64)
})

test('a dry run of a change changes nothing', async () => {
  assert.match((await letterlock(['user', 'add', 'ghost', '--dry-run'])).out, /would add ghost/)
  const { users } = JSON.parse((await letterlock(['user', 'list', '--json'])).out) as { users: { name: string }[] }
  assert.ok(users.every(({ name }) => name !== 'ghost'))
  assert.equal((await letterlock(['user', 'disable', 'nobody', '--dry-run'])).code, 65)
})

test('a data folder that cannot be one is a sentence, not a stack', async () => {
  const ran = await letterlock(['serve'], { env: { LETTERLOCK_DATA: join(folder, 'typo.yaml', 'data') } })
  assert.equal(ran.code, 69)
  assert.match(ran.err, /^letterlock: .*typo\.yaml/)
  assert.doesNotMatch(ran.err, /\n\s+at /)
})
