/** Opening and closing the door of an HTTP server. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { listenHttp } from '../../src/ops/http-listen.ts'

const host = '127.0.0.1'
const answering = () => createServer((_request, response) => void response.end('here'))

test('it listens at the port that was picked, and is deaf when it is closed', async () => {
  const { port, close, ...rest } = await listenHttp(answering(), { host, port: 0 })
  assert.equal(rest.host, host)
  assert.ok(port > 0)
  assert.equal(await (await fetch(`http://${host}:${port}/`)).text(), 'here')
  await close()
  await assert.rejects(fetch(`http://${host}:${port}/`))
})

test('who is still inside, idle or in the middle of a request, does not keep it from closing', { timeout: 60_000 }, async () => {
  const { port, close } = await listenHttp(
    createServer(() => undefined),
    { host, port: 0 },
  )
  const clients = ['', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'].map((text) => {
    const socket = connect(port, host)
    socket.on('error', () => undefined)
    socket.write(text)
    return socket
  })
  await Promise.all(clients.map((socket) => once(socket, 'connect')))
  // Whether by an end or by a reset.
  const ended = Promise.all(clients.map((socket) => new Promise((gone) => socket.once('close', gone))))
  await close()
  await ended
})

test('an address that is taken is told, and the same server may listen elsewhere', async () => {
  const first = await listenHttp(answering(), { host, port: 0 })
  const server = answering()
  await assert.rejects(listenHttp(server, { host, port: first.port }), { code: 'EADDRINUSE' })
  const second = await listenHttp(server, { host, port: 0 })
  assert.notEqual(second.port, first.port)
  await Promise.all([first.close(), second.close()])
})
