/** Other people's mail programs at the door, and large messages through it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { createTransport } from 'nodemailer'
import { defaultSettings } from '../../src/ops/settings.ts'
import { openKeyring } from '../../src/seal/keyring.ts'
import { createSpool } from '../../src/spool/spool.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'
import { sql } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { type Door, memorySpool, openDoor, openDoorOn, withDoor } from './door.ts'

test('nodemailer signs in over STARTTLS and its message comes through whole', () =>
  withDoor(
    async (door) => {
      await door.users.add('anna', 'correct horse battery', 'test')
      const mailer = createTransport({
        host: '127.0.0.1',
        port: door.port,
        requireTLS: true,
        auth: { user: 'anna', pass: 'correct horse battery' },
        tls: { rejectUnauthorized: false },
      })
      const sent = await mailer.sendMail({
        from: 'Anna <anna@lab.example>',
        to: 'bob@partner.example',
        bcc: 'hidden@partner.example',
        subject: 'Grüße',
        text: '.\n..\n...dots\n',
        attachments: [{ filename: 'a.bin', content: Buffer.from([0, 255, 10, 13]) }],
      })
      mailer.close()
      const [stored] = door.spool.stored
      assert.match(sent.response, new RegExp(`^250 2\\.0\\.0 queued as ${stored?.id}$`))
      assert.equal(stored?.client.authenticatedAs, 'anna')
      assert.match(String(stored?.client.tls), /^TLSv1\.3 /)
      assert.equal(stored?.messageId, sent.messageId)
      assert.equal(stored?.headerFrom, 'anna@lab.example')
      assert.deepEqual(
        stored?.envelope.recipients.map(({ address, bcc }) => [address, bcc]),
        [
          ['bob@partner.example', false],
          ['hidden@partner.example', true],
        ],
      )
      const text = stored?.content.toString() ?? ''
      assert.match(text, /\r\n\.\r\n\.\.\r\n\.\.\.dots\r\n/)
      assert.doesNotMatch(text, /hidden/)
      assert.equal(text.match(/^Received:/gm)?.length, 1)
    },
    { 'smtp.relay.networks': [] },
  ))

const swaks = existsSync('/usr/bin/swaks') || process.env.CI === 'true' ? false : 'swaks is not installed'

/** Runs swaks; its exit code, and its transcript. */
const runSwaks = (door: Door, ...options: string[]) =>
  new Promise<{ code: number; text: string }>((done) => {
    const all = ['--server', `127.0.0.1:${door.port}`, '--helo', 'swaks.lab.example', '--to', 'bob@partner.example', ...options]
    execFile('swaks', all, (error, stdout) => done({ code: Number(error?.code ?? 0), text: stdout }))
  })

test('swaks is served in clear from a trusted network, one command at a time and pipelined', { skip: swaks }, () =>
  withDoor(async (door) => {
    for (const options of [[], ['--pipeline']]) {
      const { code, text } = await runSwaks(door, '--from', 'anna@lab.example', '--header', 'Subject: by swaks', ...options)
      assert.equal(code, 0, text)
      assert.match(text, /250 2\.0\.0 queued as/)
    }
    assert.match(door.spool.stored[1]?.content.toString() ?? '', /^Received: from swaks\.lab\.example \(\[127\.0\.0\.1\]\)/)
  }),
)

test('swaks hears the refusal of a foreign sender, and of a password in clear', { skip: swaks }, () =>
  withDoor(async (door) => {
    const foreign = await runSwaks(door, '--from', 'spam@elsewhere.example')
    assert.notEqual(foreign.code, 0)
    assert.match(foreign.text, /550 5\.7\.1 Sender domain elsewhere\.example/)
    const signIn = await runSwaks(door, '--from', 'anna@lab.example', '--auth', 'PLAIN', '--auth-user', 'a', '--auth-password', 'b')
    assert.notEqual(signIn.code, 0)
    assert.equal(door.spool.stored.length, 0)
  }),
)

test('a message of 40 MB streams through without being held', async () => {
  const spool = memorySpool({ keep: false })
  const door = await openDoor({}, { spool })
  try {
    const line = Buffer.from(`${'x'.repeat(76)}\r\n`.repeat(1000))
    let left = 40_000_000
    const body = new Readable({
      read() {
        left -= line.length
        this.push(left > 0 ? line : null)
      },
    })
    const mailer = createTransport({ host: '127.0.0.1', port: door.port, ignoreTLS: true })
    global.gc?.()
    const before = process.memoryUsage().rss
    let highest = before
    const watch = setInterval(() => {
      highest = Math.max(highest, process.memoryUsage().rss)
    }, 10)
    const raw = Readable.from(
      (async function* () {
        yield Buffer.from('From: anna@lab.example\r\nTo: bob@partner.example\r\n\r\n')
        yield* body as AsyncIterable<Buffer>
      })(),
    )
    const sent = await mailer.sendMail({ envelope: { from: 'anna@lab.example', to: 'bob@partner.example' }, raw })
    clearInterval(watch)
    mailer.close()
    assert.match(sent.response, /^250/)
    const size = spool.pieces.reduce((sum, piece) => sum + piece, 0)
    assert.ok(size > 39_900_000, `${size}`)
    assert.ok(Math.max(...spool.pieces) <= 70_000)
    // Client and server share this process; both together must stay far below the message.
    assert.ok(highest - before < 120_000_000, `${highest - before} bytes more`)
  } finally {
    await door.close()
  }
})

test('with the real spool, 250 means rows and a sealed blob on the disk, and a refusal means neither', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-real-'))
  const db = openSqlite(join(folder, 'real.db'))
  await migrate(db, 'migrations')
  const blobs = openBlobs(join(folder, 'blobs'))
  const keyring = await openKeyring(join(folder, 'keys'), Date.now)
  const settings = defaultSettings({ data: folder })
  const door = await openDoorOn(createSpool({ db, blobs, keyring, clock: Date.now, settings }))
  const mailer = createTransport({ host: '127.0.0.1', port: door.port, ignoreTLS: true })
  const send = (from: string, size: number) =>
    mailer.sendMail({
      envelope: { from: 'anna@lab.example', to: 'bob@partner.example' },
      raw: `${from}\r\n\r\n${`${'secret'.repeat(10)}\r\n`.repeat(size)}`,
    })
  try {
    const sent = await send('From: anna@lab.example', 20_000)
    const [, id] = /^250 2\.0\.0 queued as (\w+)$/.exec(sent.response) ?? []
    const rows = await db.read<{ id: string; size: number; client: string }>(sql`SELECT id, size, client FROM message`)
    assert.deepEqual(
      rows.map((row) => row.id),
      [id],
    )
    assert.ok((rows[0]?.size ?? 0) > 20_000 * 62)
    await assert.rejects(send('From: anna@lab.example\r\nnot a field', 20_000), /550 5\.6\.0/)
    assert.equal((await db.read(sql`SELECT id FROM message`)).length, 1)
    const names: string[] = []
    for await (const name of blobs.list()) names.push(name)
    assert.equal(names.length, 1)
  } finally {
    mailer.close()
    await door.close()
    keyring.close()
    await db.close()
    await rm(folder, { recursive: true })
  }
})
