import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createTransport } from 'nodemailer'
import { program, runProgram } from '../world/program.ts'
import { writeSettings } from '../world/settings-file.ts'
import { eventually, type Peers, startPeers } from './world.ts'

let folder: string
let peers: Peers
let config: string
let running: ChildProcess
let said = ''
let token: string

const policyFile = () => join(folder, 'policy.yaml')
const rule = (name: string, steps: string) =>
  `version: 1\nrules:\n  - { name: ${name}, when: { to: tls.example }, deliver: ${steps} }\ndefault: { deliver: [tls, bounce] }\n`

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-api-'))
  peers = await startPeers(folder, { 'tls.example': {} })
  await writeFile(policyFile(), rule('from-file', '[tls]'))
  config = join(folder, 'letterlock.json')
  await writeSettings(config, peers.settings, { policy: { file: policyFile() }, monitor: { probes: false } })
  running = spawn(process.execPath, [...program, 'serve', '--config', config], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  running.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  await eventually(
    'the gateway to be ready',
    async () => (await fetch(`${base()}/readyz`).catch(() => undefined))?.ok || undefined,
    async () => said,
  )
  token = (await letterlock(['token', 'create', '--role', 'owner', '--name', 'story'])).out.trim()
})
after(async () => {
  running?.kill('SIGKILL')
  await peers?.close()
  await rm(folder, { recursive: true, force: true })
})

const base = () => `http://127.0.0.1:${peers.settings['admin.listen'].port}`

/** A command beside the running gateway, as an admin runs it. */
const letterlock = (args: string[]) => runProgram([...args, '--config', config], { folder })

const ask = (path: string, given: RequestInit = {}) =>
  fetch(`${base()}${path}`, { ...given, headers: { authorization: `Bearer ${token}`, ...given.headers } })

/** Send one mail and ask the API which rule decided, once it is delivered. */
async function ruleOfNext(): Promise<{ readonly rule: string; readonly revision: number }> {
  const client = createTransport({ ...peers.settings['smtp.listen'][0], tls: { rejectUnauthorized: false } })
  const { response } = await client.sendMail({ from: 'ann@org.example', to: 'max@tls.example', subject: 'hello', text: 'hello' })
  client.close()
  const id = response.split(' ').at(-1)
  return eventually('the mail to be decided on', async () => {
    const found = (await (await ask(`/api/v1/messages/${id}/explain?to=max@tls.example`)).json()) as {
      outcome: string
      rule: { name: string }
      policy: { revision: number }
    }
    return found.outcome === 'delivered' ? { rule: found.rule.name, revision: found.policy.revision } : undefined
  })
}

async function applied(text: string): Promise<number> {
  const etag = (await ask('/api/v1/policy')).headers.get('etag') ?? ''
  const reply = await ask('/api/v1/policy?comment=story', {
    method: 'PUT',
    headers: { 'content-type': 'application/yaml', 'if-match': etag, 'idempotency-key': randomUUID() },
    body: text,
  })
  const { revision } = (await reply.json()) as { revision: number }
  assert.equal(reply.status, 200)
  return revision
}

describe('a policy changed beside a running gateway', () => {
  test('by API decides the next message, and the one before keeps its own', async () => {
    const before = await ruleOfNext()
    assert.equal(before.rule, 'from-file')
    const revision = await applied(rule('by-api', '[{ tls: { level: encrypted } }]'))
    assert.deepEqual(await ruleOfNext(), { rule: 'by-api', revision })
    const messages = (await (await ask('/api/v1/messages?to=tls.example&method=tls')).json()) as {
      messages: { policyRevision: number; recipients: { rule: string }[] }[]
    }
    assert.deepEqual(
      messages.messages.map(({ policyRevision, recipients }) => [policyRevision, recipients[0]?.rule]),
      [
        [revision, 'by-api'],
        [before.revision, 'from-file'],
      ],
    )
  })

  test('by API is in the audit trail, with who and what, and so are the looks', async () => {
    const entries = async (action: string) =>
      ((await (await ask(`/api/v1/audit?action=${action}&limit=1`)).json()) as { entries: { actor: string; object: string }[] }).entries
    const [change] = await entries('policy.applied')
    const [look] = await entries('trail.looked')
    assert.match(change?.actor ?? '', /^api:\w{26}$/)
    assert.deepEqual(look, { ...look, actor: change?.actor, object: 'audit?action=trail.looked' })
  })

  test('by a command in another process decides the next message', async () => {
    const path = join(folder, 'other.yaml')
    await writeFile(path, rule('by-command', '[tls]'))
    assert.equal((await letterlock(['policy', 'apply', path])).code, 0)
    assert.equal((await ruleOfNext()).rule, 'by-command')
  })

  test('by its file and SIGHUP decides the next message; with a mistake it is logged with line and column and changes nothing', async () => {
    await writeFile(policyFile(), 'version: 1\ndefault:\n  deliver: [tls, escro]\n')
    running.kill('SIGHUP')
    await eventually(
      'the log to name the place',
      async () => (/policy\.yaml:3:18: .*escro/.test(said) ? true : undefined),
      async () => said,
    )
    assert.equal((await ruleOfNext()).rule, 'by-command')
    await writeFile(policyFile(), rule('by-signal', '[tls]'))
    running.kill('SIGHUP')
    await eventually(
      'the policy to be applied',
      async () => ((await ruleOfNext()).rule === 'by-signal' ? true : undefined),
      async () => said,
    )
  })

  test('by API stays when SIGHUP finds the file as it was', async () => {
    await applied(rule('by-api-again', '[tls]'))
    running.kill('SIGHUP')
    assert.equal((await ruleOfNext()).rule, 'by-api-again')
    const { revisions } = (await (await ask('/api/v1/policy/revisions')).json()) as { revisions: { appliedBy: string }[] }
    assert.match(revisions[0]?.appliedBy ?? '', /^api:/)
  })
})

describe('a token', () => {
  test('is shown once, listed without its secret, and refused at once when revoked', async () => {
    const made = JSON.parse(
      (await letterlock(['token', 'create', '--role', 'helpdesk', '--name', 'desk', '--expires', '2h', '--json'])).out,
    ) as {
      id: string
      token: string
    }
    const with_ = (secret: string) => fetch(`${base()}/api/v1/letters`, { headers: { authorization: `Bearer ${secret}` } })
    assert.equal((await with_(made.token)).status, 200)
    const listed = await letterlock(['token', 'list'])
    assert.match(listed.out, new RegExp(`${made.id}\\s+helpdesk\\s+desk\\s+good`))
    assert.ok(!listed.out.includes(made.token) && !said.includes(made.token) && !said.includes(token))
    assert.equal((await letterlock(['token', 'revoke', made.id])).code, 0)
    assert.equal((await with_(made.token)).status, 401)
    const database = peers.settings.database
    if (database.startsWith('sqlite:')) {
      const bytes = await Promise.all(['', '-wal'].map((end) => readFile(`${database.slice(7)}${end}`).catch(() => Buffer.alloc(0))))
      assert.ok(!Buffer.concat(bytes).includes(token), 'the token itself is in no file of the database')
    }
  })

  test('wants a role that there is, and a sensible end', async () => {
    for (const args of [[], ['--role', 'root'], ['--role', 'owner', '--expires', '400d'], ['--role', 'owner', '--expires', 'soon']])
      assert.equal((await letterlock(['token', 'create', ...args])).code, 64, args.join(' '))
    assert.equal((await letterlock(['token', 'revoke', 'nothing'])).code, 65)
  })
})
