import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { type Lax, startLax } from '../world/lax.ts'
import { startWorld, type World } from './world.ts'

let world: World
let lax: Lax
before(async () => {
  lax = await startLax()
  world = await startWorld({}, { 'delivery.routes': { 'org.example': { host: lax.host, port: lax.port, tls: 'none' } } })
})
after(async () => {
  await world?.close()
  await lax?.close()
})

/** What some server takes for the end of the data and another does not. */
const ends: { readonly [name: string]: string } = {
  'LF.LF': '\n.\n',
  'LF.CRLF': '\n.\r\n',
  'CRLF.LF': '\r\n.\n',
  'CR.CR': '\r.\r',
  'CRLF.CR': '\r\n.\r',
  'CR.CRLF': '\r.\r\n',
  'CR.LF': '\r.\n',
  'LF.CR': '\n.\r',
  'CRLF.CRCRLF': '\r\n.\r\r\n',
  'CRLF NUL.CRLF': '\r\n\0.\r\n',
  'CRLF.NUL CRLF': '\r\n.\0\r\n',
  'LF NUL.LF': '\n\0.\n',
}
/** The same with the dot doubled: undone at one hop, it ends the data at the next. */
const stuffed = Object.fromEntries(Object.entries(ends).map(([name, end]) => [name.replace('.', '..'), end.replace('.', '..')]))
const all = { ...ends, ...stuffed, 'CRLF..CRLF': '\r\n..\r\n', 'CRLF...CRLF': '\r\n...\r\n' }

const evil = 'MAIL FROM:<evil@evil.example>\r\nRCPT TO:<b@org.example>\r\nDATA\r\nFrom: evil@evil.example\r\n\r\nsmuggled\r\n.\r\n'
const places: { readonly [place: string]: (end: string) => string } = {
  'in the body': (end) => `From: a@org.example\r\nSubject: one\r\n\r\nfirst${end}${evil}`,
  'at the start of the body': (end) => `From: a@org.example\r\nSubject: one\r\n\r\n${end.replace(/^\r\n/, '')}${evil}`,
  'in the header': (end) => `From: a@org.example\r\nSubject: one${end}${evil}`,
}

/** Sends these octets as the data of one message, in one packet or octet by octet, and more until the server has said all; its reply to the data. */
function submit(port: number, data: Buffer, dripping: boolean): Promise<string> {
  const commands = ['EHLO gate.org.example\r\n', 'MAIL FROM:<a@org.example>\r\n', 'RCPT TO:<b@org.example>\r\n', 'DATA\r\n']
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1').setNoDelay(true)
    let reply = ''
    let sent = -1
    socket.on('data', async (chunk: Buffer) => {
      reply += chunk.toString('latin1')
      if (!/^\d{3} .*\r\n$/m.test(reply)) return
      const command = commands[++sent]
      if (command !== undefined) socket.write(command)
      else if (sent === commands.length) {
        for (const part of dripping ? pieces(data) : [data]) {
          socket.write(part)
          await new Promise((next) => setImmediate(next))
        }
      } else {
        resolve(reply)
        return void socket.end('QUIT\r\n')
      }
      reply = ''
    })
    socket.on('error', reject)
    socket.setTimeout(10_000, () => reject(new Error(`no answer after ${commands[sent] ?? 'the data'}: ${reply}`)))
  })
}

const pieces = (data: Buffer): Buffer[] => Array.from(data, (_, at) => data.subarray(at, at + 1))
const submissionPort = () => world.gateway().smtp[0]?.port ?? assert.fail()

test('the lax receiver takes each of these ends for the end of a message', async () => {
  for (const [name, end] of Object.entries(ends)) {
    lax.mails.length = 0
    await submit(lax.port, Buffer.from(places['in the body']?.(end) ?? '', 'latin1'), false)
    // Its answers to the smuggled commands are still on their way.
    for (let round = 0; round < 50 && lax.mails.length < 2; round++) await new Promise((next) => setTimeout(next, 2))
    assert.deepEqual(
      lax.mails.map(({ from }) => from),
      ['a@org.example', 'evil@evil.example'],
      name,
    )
  }
})

for (const [place, write] of Object.entries(places)) {
  test(`what only some servers take for the end of the data, ${place}, is refused, or stays one message for the laxest receiver`, async (t) => {
    lax.mails.length = 0
    const replies: { [name: string]: string } = {}
    let taken = 0
    for (const [name, end] of Object.entries(all)) {
      for (const dripping of [false, true]) {
        const reply = await submit(submissionPort(), Buffer.from(write(end), 'latin1'), dripping)
        replies[name] = reply.trim()
        const id = /queued as (\S+)/.exec(reply)?.[1]
        if (id !== undefined) {
          taken++
          await world.settled(id)
        } else assert.match(reply, /^55[04] 5\.[56]\.\d+ /, name)
      }
    }
    t.diagnostic(`${taken} of ${Object.keys(all).length * 2} taken`)
    assert.deepEqual(
      lax.mails.filter(({ from }) => from !== 'a@org.example'),
      [],
      'nothing was smuggled',
    )
    assert.equal(lax.mails.length, taken, 'each accepted message is one message there')
    // RFC 5321 §4.5.2: a line of two dots is one that began with a dot, and nothing else. In a header it is no field.
    assert.match(replies['CRLF..CRLF'] ?? '', place === 'in the header' ? /^550 5\.6\.0 / : /^250 /)
    for (const name of ['LF.LF', 'LF.CRLF', 'CRLF.LF', 'CR.CR', 'CRLF.CR']) assert.match(replies[name] ?? '', /^550 5\.6\.11 /, name)
  })
}
