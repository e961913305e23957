/** The door as programs meet it: greeting, TLS, limits, other mail clients, closing. */
import assert from 'node:assert/strict'
import { createConnection } from 'node:net'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { selfSigned } from '../world/index.ts'
import { openDoor, talk, withDoor } from './door.ts'

test('the greeting is immediate, in clear and over TLS', () =>
  withDoor(async (door) => {
    const times: number[] = []
    for (let i = 0; i < 10; i++) {
      const from = performance.now()
      const client = await talk(i % 2 === 0 ? door.port : door.tlsPort, { tls: i % 2 === 1 })
      assert.match(await client.reply(), /^220 mail\.lab\.example ESMTP/)
      times.push(performance.now() - from)
      client.close()
    }
    // smtp-server would wait 100 ms each time.
    assert.ok(Math.min(...times) < 90, times.join(' '))
  }))

test('the replies to a batch leave in one packet', () =>
  withDoor(async (door) => {
    const client = await talk(door.port)
    await client.reply()
    await client.say('EHLO client')
    let packets = 0
    client.socket().on('data', () => {
      packets += 1
    })
    client.write(`RSET\r\n${'NOOP\r\n'.repeat(20)}`)
    for (let i = 0; i < 21; i++) assert.match(await client.reply(), /^250/)
    assert.equal(packets, 1)
    client.close()
  }))

test('a thousand recipients in one batch are all answered', () =>
  withDoor(async (door) => {
    const client = await talk(door.port)
    await client.reply()
    await client.say('EHLO client')
    const recipients = Array.from({ length: 1100 }, (_, i) => `RCPT TO:<person${i}@partner.example>\r\n`).join('')
    client.write(`MAIL FROM:<anna@lab.example>\r\n${recipients}DATA\r\n`)
    assert.match(await client.reply(), /^250 2\.1\.0/)
    for (let i = 0; i < 1100; i++) assert.match(await client.reply(), i < 1000 ? /^250 2\.1\.5/ : /^452 4\.5\.3/)
    assert.match(await client.reply(), /^354/)
    client.write('From: anna@lab.example\r\n\r\n.\r\n')
    assert.match(await client.reply(), /^250/)
    assert.equal(door.spool.stored[0]?.envelope.recipients.length, 1000)
    client.close()
  }))

test('the limit of clients counts all listeners together, and a place is free again after a hang-up', () =>
  withDoor(
    async (door) => {
      const first = await talk(door.port)
      assert.match(await first.reply(), /^220/)
      const second = await talk(door.tlsPort, { tls: true })
      assert.match(await second.reply(), /^220/)
      const third = await talk(door.port)
      assert.match(await third.reply(), /^421 .*Too many connections/)
      await third.ended()
      assert.match(await first.say('QUIT'), /^221/)
      await first.ended()
      const fourth = await talk(door.port)
      assert.match(await fourth.reply(), /^220/)
      for (const client of [second, fourth]) client.close()
    },
    { 'limits.connections': 2 },
  ))

test('a client that sends an octet now and then is not a client that sends commands', () =>
  withDoor(
    async (door) => {
      const client = await talk(door.port)
      await client.reply()
      const trickle = setInterval(() => client.write('N'), 30).unref()
      const from = performance.now()
      assert.match(await client.reply(), /^421 4\.4\.2 /)
      clearInterval(trickle)
      assert.ok(performance.now() - from < 15000)
      await client.ended()
    },
    { 'limits.commandTimeout': 200 },
  ))

test('a reloaded certificate serves new handshakes, on both ports', () =>
  withDoor(async (door) => {
    const fingerprint = async () => {
      const socket = connectTls({ port: door.tlsPort, host: '127.0.0.1', rejectUnauthorized: false })
      await new Promise((done) => socket.once('secureConnect', done))
      const seen = socket.getPeerCertificate().fingerprint256
      socket.destroy()
      const client = await talk(door.port)
      await client.reply()
      await client.say('EHLO client')
      assert.match(await client.say('STARTTLS'), /^220/)
      await client.secure()
      const other = client.socket() as ReturnType<typeof connectTls>
      assert.equal(other.getPeerCertificate().fingerprint256, seen)
      client.close()
      return seen
    }
    const before = await fingerprint()
    door.certificates.current = await selfSigned(['other.lab.example'])
    assert.equal(await fingerprint(), before)
    door.submission.reloadCertificate()
    const reloaded = await fingerprint()
    assert.notEqual(reloaded, before)
    door.certificates.current = { cert: 'nonsense', key: 'nonsense' }
    assert.throws(() => door.submission.reloadCertificate())
    assert.equal(await fingerprint(), reloaded)
  }))

test('TLS 1.0 and 1.1 are not spoken', () =>
  withDoor(async (door) => {
    const socket = connectTls({
      port: door.tlsPort,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL:@SECLEVEL=0',
    })
    await assert.rejects(
      new Promise((done, failed) =>
        socket
          .once('secureConnect', done)
          .once('error', failed)
          .once('close', () => failed(new Error('closed'))),
      ),
    )
  }))

test('garbage instead of a TLS handshake harms nobody', () =>
  withDoor(async (door) => {
    const socket = createConnection(door.tlsPort, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write('EHLO clear\r\n')
    await new Promise((done) => socket.once('close', done))
    const client = await talk(door.port)
    await client.reply()
    await client.say('EHLO client')
    await client.say('STARTTLS')
    client.write('this is no ClientHello\r\n')
    await client.ended()
    const next = await talk(door.port)
    assert.match(await next.reply(), /^220/)
    next.close()
  }))

test('closing ends idle clients at once, lets a message under way finish, and takes no new ones', async () => {
  const door = await openDoor()
  const idle = await talk(door.port)
  await idle.reply()
  const busy = await talk(door.port)
  await busy.reply()
  await busy.say('EHLO client')
  busy.write('MAIL FROM:<anna@lab.example>\r\nRCPT TO:<bob@partner.example>\r\nDATA\r\n')
  for (let i = 0; i < 3; i++) await busy.reply()
  busy.write('From: anna@lab.example\r\n\r\n')
  const closed = door.submission.close(5000)
  assert.match(await idle.reply(), /^421 4\.3\.2 /)
  await idle.ended()
  await assert.rejects(
    talk(door.port)
      .then((client) => client.reply())
      .then((text) => assert.match(text, /^220/)),
  )
  busy.write('body\r\n.\r\n')
  assert.match(await busy.reply(), /^250 2\.0\.0 queued/)
  assert.match(await busy.reply(), /^421 4\.3\.2 /)
  await closed
  assert.equal(door.spool.stored.length, 1)
  await door.close()
})

test('a client that does not finish within the grace is cut off', async () => {
  const door = await openDoor()
  const client = await talk(door.port)
  await client.reply()
  await client.say('EHLO client')
  client.write('MAIL FROM:<anna@lab.example>\r\nRCPT TO:<bob@partner.example>\r\nDATA\r\nFrom: a@lab.example\r\n')
  for (let i = 0; i < 3; i++) await client.reply()
  const from = performance.now()
  await door.submission.close(200)
  assert.ok(performance.now() - from < 20000)
  assert.match(await client.reply(), /^421/)
  assert.equal(door.spool.stored.length, 0)
  client.close()
  await door.close()
})

test('an address that is taken is refused by name, and nothing stays open', async () => {
  const door = await openDoor()
  await assert.rejects(openDoor({ 'smtp.listen': [{ host: '127.0.0.1', port: door.port }] }), /EADDRINUSE/)
  await door.close()
})

test('one stranger cannot take every place, and a trusted network is no stranger', () =>
  withDoor(
    async (door) => {
      const first = await talk(door.port, { from: '127.0.0.2' })
      assert.match(await first.reply(), /^220/)
      const second = await talk(door.port, { from: '127.0.0.2' })
      assert.match(await second.reply(), /^421 .*Too many connections/)
      const trusted = await Promise.all([talk(door.port), talk(door.port), talk(door.port)])
      for (const client of trusted) assert.match(await client.reply(), /^220/)
      for (const client of [first, second, ...trusted]) client.close()
    },
    { 'limits.connections': 4, 'smtp.relay.networks': ['127.0.0.1/32'] },
  ))
