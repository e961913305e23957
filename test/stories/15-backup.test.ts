import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createTransport } from 'nodemailer'
import { encodeIdentity, encodeRecipient, x25519Identity } from '../../src/seal/age.ts'
import { peer } from '../world/peers.ts'
import { program, runProgram } from '../world/program.ts'
import { moved, writeSettings } from '../world/settings-file.ts'
import { eventually, type Peers, startPeers } from './world.ts'

let folder: string
let peers: Peers
let running: ChildProcess | undefined
let shut = true
/** What the running gateway has said. */
let said = ''
const identity = x25519Identity(Buffer.alloc(32, 7))
const recipient = encodeRecipient(identity.publicKey)

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-backup-'))
  const closed = { script: (verb: string) => (verb === 'CONNECT' && shut ? '421 4.3.2 later' : undefined) }
  peers = await startPeers(folder, { 'lab.example': {}, 'shut.example': { manner: closed } }, { 'retry.schedule': [1000] })
  await writeFile(join(folder, 'operator.key'), `# made by a test\n${encodeIdentity(identity.secret)}\n`)
  await writeSettings(join(folder, 'letterlock.json'), moved(peers.settings, peers.settings.data))
})
after(async () => {
  running?.kill('SIGKILL')
  await peers?.close()
  await rm(folder, { recursive: true, force: true })
})

async function serve(config = 'letterlock.json'): Promise<void> {
  const child = spawn(process.execPath, [...program, 'serve', '--config', join(folder, config)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  running = child
  said = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const { host, port } = peers.settings['metrics.listen']
  await eventually(
    'the gateway to be ready',
    async () => (await fetch(`http://${host}:${port}/readyz`).catch(() => undefined))?.ok || undefined,
    () => said,
  )
}

async function stop(): Promise<void> {
  const gone = new Promise((resolve) => running?.once('close', resolve))
  running?.kill('SIGTERM')
  await gone
  running = undefined
}

const letterlock = (args: readonly string[], config = 'letterlock.json') => runProgram([...args, '--config', join(folder, config)])

async function json<T>(args: readonly string[], config?: string): Promise<T> {
  const ran = await letterlock([...args, '--json'], config)
  assert.equal(ran.code, 0, ran.err)
  return JSON.parse(ran.out) as T
}

async function send(to: string, text: string): Promise<string> {
  const client = createTransport({ ...peers.settings['smtp.listen'][0], tls: { rejectUnauthorized: false } })
  const { response } = await client.sendMail({ from: 'a@org.example', to, subject: 'x', text })
  client.close()
  return /queued as (\S+)/.exec(response)?.[1] ?? assert.fail(response)
}

const large = 'A line of a large message that becomes a blob.\r\n'.repeat(3000)
const bodies = () => peers.partners['shut.example']?.mails.map(({ content }) => String(content)) ?? []

type Queue = { queue: { id: string; to: string; message: string; state: string; reason: string | null }[] }

/** Something to save while it changes: a mail every now and then until `enough` says so; their ids. */
async function sendUntil(enough: () => boolean): Promise<string[]> {
  const ids: string[] = []
  for (let index = 0; !enough(); index++, await pause(150))
    ids.push(await send(index % 3 ? 'vera@lab.example' : 'max@shut.example', `load ${index}\r\n${index % 2 ? large : ''}`))
  return ids
}

test('a backup under load is whole; restored, it has all mail accepted before, sends none of it by itself, and all of it when told', async () => {
  await serve()
  const waiting: string[] = []
  for (let index = 0; index < 4; index++) waiting.push(await send('max@shut.example', `waiting ${index}\r\n${index % 2 ? large : ''}`))

  let saved = false
  const load = sendUntil(() => saved)
  const backups = join(folder, 'operator.tar.age')
  const ran = await letterlock(['backup', backups, '--encrypt-to', recipient, '--json'])
  const clear = await letterlock(['backup', folder])
  const again = await letterlock(['backup', backups])
  saved = true
  const sent = await load
  assert.deepEqual([ran.code, clear.code], [0, 0], ran.err + clear.err)
  const made = JSON.parse(ran.out) as { counts: { waiting: number } }
  assert.ok(sent.length > 0, 'nothing was sent meanwhile')
  assert.ok(made.counts.waiting >= 4)
  assert.equal((await stat(backups)).mode & 0o777, 0o600)
  assert.deepEqual([again.code, /exists already/.test(again.err)], [65, true])
  assert.match(clear.err, /waiting or held messages cannot be opened from this backup/)
  assert.deepEqual(
    (await readdir(peers.settings.data)).filter((name) => name.startsWith('.backup')),
    [],
  )
  const refused = await letterlock(['restore', backups, '--identity', join(folder, 'operator.key')])
  assert.deepEqual([refused.code, /a letterlock serves/.test(refused.err)], [77, true], refused.err)
  await stop()

  const restored = join(folder, 'restored')
  await writeSettings(join(folder, 'restored.json'), moved(peers.settings, restored))
  const done = await json<{ held: number; unreadable: number; next: string[] }>(
    ['restore', backups, '--identity', join(folder, 'operator.key')],
    'restored.json',
  )
  assert.deepEqual([done.held, done.unreadable], [made.counts.waiting, 0])
  shut = false
  await serve('restored.json')
  const fresh = await send('max@shut.example', 'fresh')
  await eventually('the fresh mail', async () => bodies().find((body) => body.includes('fresh')))
  assert.equal(bodies().length, 1, 'nothing of the backup leaves by itself')
  const { queue } = await json<Queue>(['queue', 'list'], 'restored.json')
  assert.ok(waiting.every((id) => queue.some((one) => one.id.startsWith(id) && one.state === 'held' && one.reason === 'restored')))
  assert.ok(!queue.some((one) => one.id.startsWith(fresh)))
  assert.equal((await letterlock(['queue', 'release', '--reason', 'restored'], 'restored.json')).code, 0)
  // What waited for the other domain at that moment goes there.
  const released = queue.filter(({ to, reason }) => to === 'max@shut.example' && reason === 'restored').length
  await eventually(
    'all that waited',
    () => (bodies().length >= 1 + released ? true : undefined),
    () => `${bodies().length} mails of ${1 + released}`,
  )
  for (let index = 0; index < 4; index++) assert.equal(bodies().filter((body) => body.includes(`waiting ${index}\r\n`)).length, 1)
  assert.ok(
    bodies().some((body) => body.includes('waiting 1') && body.length > large.length),
    'a blob came with it',
  )
  await stop()
})

test('without the keys of the hours what waited is held as unreadable, and its sender is told when it is returned', async () => {
  const [name] = (await readdir(folder)).filter((one) => /^letterlock-.*Z\.tar$/.test(one))
  const into = join(folder, 'bare')
  await writeSettings(join(folder, 'bare.json'), moved(peers.settings, into))
  const listed = spawnSync('tar', ['-tf', join(folder, name ?? '')])
  assert.ok(!listed.error && !String(listed.stdout).includes('epoch-'), String(listed.stdout))
  const sound = await json<{ sound: boolean; epochKeys: boolean }>(['restore', join(folder, name ?? ''), '--dry-run'])
  assert.deepEqual([sound.sound, sound.epochKeys], [true, false])
  const done = await json<{ held: number; unreadable: number }>(['restore', join(folder, name ?? '')], 'bare.json')
  assert.ok(done.held > 0 && done.unreadable === done.held)
  await serve('bare.json')
  const before = peers.own.mails.length
  assert.equal((await letterlock(['queue', 'bounce', '--reason', 'content-damaged'], 'bare.json')).code, 0)
  await eventually('the reports', async () => (peers.own.mails.length >= before + done.unreadable ? true : undefined))
  const twice = await letterlock(['restore', join(folder, name ?? '')], 'bare.json')
  assert.deepEqual([twice.code, /a letterlock serves/.test(twice.err)], [77, true])
  await stop()
  const full = await letterlock(['restore', join(folder, name ?? '')], 'bare.json')
  assert.deepEqual([full.code, /empty place only/.test(full.err)], [77, true])
})

test('the age command opens an encrypted backup, and what was altered or is not ours is refused with a sentence', async (t) => {
  const backup = join(folder, 'operator.tar.age')
  const bytes = await readFile(backup)
  await writeFile(join(folder, 'cut.age'), bytes.subarray(0, bytes.length - 70_000))
  const flipped = Buffer.from(bytes)
  flipped[100_000] = (flipped[100_000] ?? 0) ^ 1
  await writeFile(join(folder, 'flipped.age'), flipped)
  await writeFile(join(folder, 'other.key'), encodeIdentity(Buffer.alloc(32, 8)))
  for (const [file, key, says] of [
    [backup, undefined, /is encrypted: give the file with its age identity/],
    [backup, 'other.key', /no identity in .*other\.key opens it/],
    [backup, 'letterlock.json', /holds no age identity/],
    [join(folder, 'cut.age'), 'operator.key', /is not sound, and nothing was restored/],
    [join(folder, 'flipped.age'), 'operator.key', /is not sound, and nothing was restored/],
    [join(folder, 'letterlock.json'), undefined, /is not sound/],
    [join(folder, 'nothing'), undefined, /cannot be read/],
  ] as const) {
    const into = join(folder, 'never')
    const ran = await letterlock(['restore', file, '--into', into, ...(key === undefined ? [] : ['--identity', join(folder, key)])])
    assert.equal(ran.code, 65, ran.err)
    assert.match(ran.err, says)
    assert.deepEqual(
      (await readdir(into).catch(() => [])).filter((one) => one !== 'serving.lock'),
      [],
    )
  }
  assert.equal((await letterlock(['backup', join(folder, 'x.age'), '--encrypt-to', 'age1nothing'])).code, 64)

  const opened = spawnSync('age', ['-d', '-i', join(folder, 'operator.key'), backup], { maxBuffer: 1 << 30 })
  const { skip } = peer('age')
  if (skip) return t.skip(skip)
  assert.equal(opened.status, 0, String(opened.stderr))
  const listed = spawnSync('tar', ['-t'], { input: opened.stdout })
  assert.match(String(listed.stdout), /database\.sqlite\n[\s\S]*keys\/epoch-[\s\S]*manifest\.json\n$/)
})
