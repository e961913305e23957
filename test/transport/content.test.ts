import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { sendContent } from '../../src/transport/content.ts'
import { deadlines } from '../../src/transport/deadlines.ts'
import { createWire } from '../../src/transport/wire.ts'

const server = createServer()
before(() => new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening)))
after(() => new Promise((closed) => server.close(closed)))

/** A connected wire, the other end of it, and what arrives there. */
async function pair() {
  const address = server.address()
  if (address === null || typeof address === 'string') assert.fail('not listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const socket = connect(address.port, '127.0.0.1')
  await once(socket, 'connect')
  const [peer] = await accepted
  let arrived = ''
  peer.on('data', (bytes) => {
    arrived += bytes.toString('latin1')
  })
  peer.on('error', () => undefined)
  const ended = once(peer, 'close')
  const wire = createWire(socket, socket)
  const end = async () => {
    wire.cut()
    await ended
    return arrived
  }
  return { wire, peer, end }
}

const inPieces = (content: Buffer) => () => Readable.from(content.length === 0 ? [] : [content.subarray(0, 3), content.subarray(3)])

const contents: readonly string[] = [
  'Subject: x\r\n\r\nhello\r\n',
  '.\r\n..two\r\nin.side\r\n.',
  'no end of line',
  '',
  'ends in a dot line\r\n.\r\n',
]

for (const content of contents)
  test(`what is in memory leaves as the stream would: ${JSON.stringify(content)}`, async () => {
    const bytes = Buffer.from(content)
    const sent = await Promise.all(
      [{ open: inPieces(bytes) }, { open: inPieces(bytes), whole: bytes }].map(async (given) => {
        const { wire, end } = await pair()
        assert.deepEqual(await sendContent(wire, given, deadlines), { kind: 'sent' })
        return end()
      }),
    )
    assert.equal(sent[1], sent[0])
    assert.match(sent[0] ?? '', /(?:^|\r\n)\.\r\n$/)
  })

test('a bare line end in what is in memory stops before anything of it is sent', async () => {
  for (const content of ['a\nb\r\n', 'a\rb\r\n', 'a\r']) {
    const { wire, end } = await pair()
    const sent = await sendContent(wire, { open: () => Readable.from([]), whole: Buffer.from(content) }, deadlines)
    assert.equal(sent.kind === 'damaged' && sent.row, 'content-damaged')
    assert.equal(await end(), '')
  }
})

test('a server that has spoken already, or is gone, gets nothing of what is in memory', async () => {
  const whole = Buffer.from('Subject: x\r\n\r\nhello\r\n')
  const talking = await pair()
  talking.peer.write('552 5.3.4 too large\r\n')
  await once(talking.wire.stream, 'data')
  const interrupted = await sendContent(talking.wire, { open: inPieces(whole), whole }, deadlines)
  assert.equal(interrupted.kind === 'interrupted' && interrupted.reply.code, 552)
  assert.equal(await talking.end(), '')

  const gone = await pair()
  gone.peer.destroy()
  await once(gone.wire.stream, 'close')
  assert.equal((await sendContent(gone.wire, { open: inPieces(whole), whole }, deadlines)).kind, 'lost')
})
