/** The DATA path when disks fill, databases fail and clients vanish. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Door, memorySpool, openDoor, type Talk, talk } from './door.ts'

/** Play in a fresh door, with the client inside DATA when asked. */
async function inside(play: (client: Talk, door: Door) => Promise<void>, overrides: Parameters<typeof openDoor>[0] = {}): Promise<void> {
  const door = await openDoor(overrides)
  const client = await talk(door.port)
  try {
    await client.reply()
    await client.say('EHLO client')
    await begin(client)
    await play(client, door)
  } finally {
    client.close()
    await door.close()
  }
}

async function begin(client: Talk): Promise<void> {
  client.write('MAIL FROM:<anna@lab.example>\r\nRCPT TO:<bob@partner.example>\r\nDATA\r\n')
  for (const code of ['250', '250', '354']) assert.equal((await client.reply()).slice(0, 3), code)
}

const message = 'From: anna@lab.example\r\n\r\nbody\r\n.\r\n'
const failure = (code: string) => Object.assign(new Error(code), { code })

/** Wait until something is so; false after twenty seconds. */
async function becomes(what: () => boolean): Promise<boolean> {
  for (let i = 0; i < 2000 && !what(); i++) await new Promise((done) => setTimeout(done, 10))
  return what()
}

test('a disk that fails while the message streams in is 452 after its end, and the next message is taken', () =>
  inside(async (client, door) => {
    door.spool.fail({ write: failure('ENOSPC') })
    client.write(message)
    assert.match(await client.reply(), /^452 4\.3\.1 /)
    assert.equal(door.spool.aborted(), 1)
    door.spool.fail({})
    await begin(client)
    client.write(message)
    assert.match(await client.reply(), /^250 2\.0\.0 queued as [0-9a-z]{26}$/)
    assert.equal(door.spool.stored.length, 1)
  }))

for (const [code, expected] of [
  ['ENOSPC', /^452 4\.3\.1 /],
  ['SQLITE_FULL', /^452 4\.3\.1 /],
  ['SQLITE_BUSY', /^451 4\.3\.0 /],
  ['ECONNREFUSED', /^451 4\.3\.0 /],
] as const)
  test(`a commit that fails with ${code} is temporary: ${expected.source}`, () =>
    inside(async (client, door) => {
      door.spool.fail({ commit: failure(code) })
      client.write(message)
      assert.match(await client.reply(), expected)
      assert.equal(door.spool.aborted(), 1)
      assert.match(await client.say('NOOP'), /^250/)
    }))

test('too little room for the announced size is 452 at MAIL, half as much again is enough', () =>
  inside(async (client, door) => {
    client.write(message)
    await client.reply()
    door.spool.fail({ free: 1_499_999 })
    assert.match(await client.say('MAIL FROM:<anna@lab.example> SIZE=1000000'), /^452 4\.3\.1 /)
    door.spool.fail({ free: 1_500_000 })
    assert.match(await client.say('MAIL FROM:<anna@lab.example> SIZE=1000000'), /^250/)
  }))

test('a client that vanishes inside DATA leaves nothing behind', () =>
  inside(async (client, door) => {
    client.write('From: anna@lab.example\r\n\r\nhalf a mess')
    assert.ok(await becomes(() => door.spool.pieces.length > 0))
    client.close()
    assert.ok(await becomes(() => door.spool.aborted() === 1))
    assert.equal(door.spool.stored.length, 0)
  }))

test('a dot without its CRLF at the hang-up is not the end of a message', () =>
  inside(async (client, door) => {
    client.socket().end('From: anna@lab.example\r\n\r\nbody\r\n.')
    await client.ended()
    assert.ok(await becomes(() => door.spool.aborted() === 1))
    assert.equal(door.spool.stored.length, 0)
  }))

test('once the spool commits, the deadline no longer answers for it: the client hears what the spool said', () =>
  inside(
    async (client, door) => {
      door.spool.fail({ slowCommit: 400 })
      client.write(message)
      assert.match(await client.reply(), /^250 2\.0\.0 queued/)
      assert.equal(door.spool.stored.length, 1)
    },
    { 'limits.dataTimeout': 150, 'limits.commandTimeout': 200 },
  ))

test('a message that trickles in past the deadline is not kept, however busy its client looks', () =>
  inside(
    async (client, door) => {
      client.write('From: anna@lab.example\r\n\r\n')
      const trickle = setInterval(() => client.write('x'), 20).unref()
      assert.match(await client.reply(), /^451 4\.4\.2 /)
      clearInterval(trickle)
      await client.ended()
      assert.ok(await becomes(() => door.spool.aborted() === 1))
    },
    { 'limits.dataTimeout': 200 },
  ))

test('an enormous body is answered before its end, and not read to it', () =>
  inside(
    async (client, door) => {
      client.write('From: anna@lab.example\r\n\r\n')
      const line = Buffer.from(`${'x'.repeat(998)}\r\n`.repeat(64))
      const flood = setInterval(() => client.socket().writableLength < 1e6 && client.write(line), 1).unref()
      assert.match(await client.reply(), /^552 5\.3\.4 .*100000 octets/)
      clearInterval(flood)
      await client.ended()
      assert.ok(door.spool.pieces.reduce((sum, size) => sum + size, 0) < 100_500)
      assert.equal(door.spool.stored.length, 0)
    },
    { 'smtp.maxMessageSize': 100_000 },
  ))

test('the writer is waited for: a slow spool holds the client back instead of filling memory', async () => {
  const spool = memorySpool({ keep: false })
  const door = await openDoor({}, { spool })
  const client = await talk(door.port)
  try {
    await client.reply()
    await client.say('EHLO client')
    await begin(client)
    spool.fail({ slowWrite: 20 })
    client.write('From: anna@lab.example\r\n\r\n')
    const body = Buffer.from(`${'x'.repeat(78)}\r\n`.repeat(262_144))
    const from = performance.now()
    client.write(body)
    await new Promise((done) => setTimeout(done, 300))
    // Socket buffers hold some of the 20 MiB; most must still be with the client.
    assert.ok(client.socket().writableLength > body.length / 2, `${client.socket().writableLength}`)
    const most = (performance.now() - from) / 20 + 2
    assert.ok(spool.pieces.length <= most, `${spool.pieces.length} pieces, not ${most}`)
    spool.fail({})
    client.write('.\r\n')
    assert.match(await client.reply(), /^250/)
    assert.equal(spool.pieces.reduce((sum, size) => sum + size, 0) > body.length, true)
  } finally {
    client.close()
    await door.close()
  }
})

test('a flood of dot lines reaches the spool in as few pieces as it came in chunks', async () => {
  const spool = memorySpool({ keep: false })
  const door = await openDoor({}, { spool })
  const client = await talk(door.port)
  try {
    await client.reply()
    await client.say('EHLO client')
    await begin(client)
    client.write('From: anna@lab.example\r\n\r\n')
    client.write(Buffer.from('..\r\n'.repeat(786_432)))
    client.write('.\r\n')
    assert.match(await client.reply(), /^250/)
    // 3 MiB in chunks of some 64 KiB; smtp-server's own reader makes a piece, and a turn of the event loop, of each of the 786,432 lines.
    assert.ok(spool.pieces.length < 2000, `${spool.pieces.length} pieces`)
  } finally {
    client.close()
    await door.close()
  }
})

test('a fault of ours inside DATA is 451 for this client, and the server goes on', async () => {
  const spool = memorySpool()
  let broken = true
  const intake = () => {
    if (broken) throw new Error('a bug')
    return spool.intake()
  }
  const door = await openDoor({}, { spool: { ...spool, intake } })
  try {
    for (const expected of [/^451 4\.3\.0 /, /^250 2\.0\.0 queued/]) {
      const client = await talk(door.port)
      await client.reply()
      await client.say('EHLO client')
      await begin(client)
      client.write(message)
      assert.match(await client.reply(), expected)
      client.close()
      broken = false
    }
  } finally {
    await door.close()
  }
})
