import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createTransport, type SendMailOptions } from 'nodemailer'
import { program } from '../world/program.ts'
import { writeSettings } from '../world/settings-file.ts'
import { type Domain, eventually, type Peers, startPeers } from './world.ts'

let folder: string
let peers: Peers
let running: ChildProcess | undefined
const domains: { [domain: string]: Domain } = {
  'lab.example': {},
  'shut.example': { manner: { script: (verb) => (verb === 'CONNECT' ? '421 4.3.2 later' : undefined) } },
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-crash-'))
  peers = await startPeers(folder, domains, { 'retry.schedule': [1000] })
  const limits = { claim: '8s', databasePatience: '4s' }
  await writeSettings(join(folder, 'letterlock.json'), peers.settings, { limits })
})
after(async () => {
  running?.kill('SIGKILL')
  await peers?.close()
  await rm(folder, { recursive: true, force: true })
})

async function startProcess(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...program, 'serve', '--config', join(folder, 'letterlock.json')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  running = child
  const { host, port } = peers.settings['metrics.listen']
  await eventually(
    'the gateway to be ready',
    async () => (await fetch(`http://${host}:${port}/readyz`).catch(() => undefined))?.ok || undefined,
    async () => said,
  )
  return child
}

async function send(mail: SendMailOptions): Promise<void> {
  const at = peers.settings['smtp.listen'][0]
  const client = createTransport({ host: at?.host, port: at?.port, tls: { rejectUnauthorized: false } })
  await client.sendMail(mail)
  client.close()
}

test('kill -9 between 250 and delivery loses nothing', async () => {
  const child = await startProcess()
  const shut = peers.partners['shut.example'] ?? assert.fail()
  for (let number = 0; number < 20; number++)
    await send({ from: 'a@org.example', to: `u${number}@shut.example`, subject: `number ${number}`, text: 'x'.repeat(number * 10_000) })
  child.kill('SIGKILL')
  await new Promise((resolve) => child.once('exit', resolve))
  const tls = peers.certificates['shut.example'] ?? assert.fail()
  shut.behave({ hostname: 'mx.shut.example', tls })
  await startProcess()
  await eventually(
    'all twenty to arrive',
    async () => (new Set(subjects(shut.mails)).size === 20 ? true : undefined),
    async () => subjects(shut.mails).join(', '),
  )
  assert.equal(shut.mails.length, 20, 'and none of them twice')
})

const subjects = (mails: readonly { content: Buffer }[]) =>
  mails.map(({ content }) => /^Subject: (.*)$/m.exec(content.toString('latin1'))?.[1] ?? '')

test('a message of 40 MB passes byte for byte with the process below 300 MB', async () => {
  const child = running ?? (await startProcess())
  const content = Buffer.alloc(40 * 1024 * 1024)
  for (let at = 0; at < content.length; at += 78)
    content.write(`${'x'.repeat(70)}${String(at % 999_999).padStart(6, '0')}\r\n`.slice(0, Math.min(78, content.length - at)), at, 'latin1')
  content.write('\r\n', content.length - 2, 'latin1')
  const raw = Buffer.concat([
    Buffer.from(
      'From: a@org.example\r\nTo: big@lab.example\r\nSubject: big\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <big@org.example>\r\n\r\n',
    ),
    content,
  ])
  let peak = 0
  const watch = setInterval(
    () =>
      void memory(child).then((bytes) => {
        peak = Math.max(peak, bytes)
      }),
    20,
  )
  const lab = peers.partners['lab.example'] ?? assert.fail()
  try {
    await send({ envelope: { from: 'a@org.example', to: ['big@lab.example'] }, raw })
    await eventually('the large message', () => lab.mails[0])
  } finally {
    clearInterval(watch)
  }
  const [arrived] = lab.mails
  assert.ok(arrived?.content.subarray(-content.length).equals(content), 'the body is the same')
  assert.ok(peak > 0 && peak < 300 * 1024 * 1024, `the process held ${Math.round(peak / 1048576)} MiB`)
})

/** Resident bytes of a process, from /proc. */
const memory = async ({ pid }: ChildProcess): Promise<number> =>
  Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1] ?? 0) * 1024

test('SIGTERM ends the process in order, and a second gateway on the same data says so', async () => {
  const child = running ?? (await startProcess())
  const second = spawn(process.execPath, [...program, 'serve', '--config', join(folder, 'letterlock.json')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  second.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  assert.equal(await new Promise((resolve) => second.once('close', resolve)), 69)
  assert.match(said, peers.settings.database.startsWith('sqlite:') ? /another letterlock serves/ : /cannot listen there/)
  child.kill('SIGTERM')
  assert.equal(await new Promise((resolve) => child.once('exit', resolve)), 0)
})
