/** The demo's internet says what it needs of this machine. */
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { startInternet } from '../../src/demo/internet.ts'
import { freePort } from '../../src/demo/ports.ts'

test('where the loopback addresses are missing, the command that adds them is said', async () => {
  // TEST-NET-1: no machine has it.
  await assert.rejects(
    startInternet(() => undefined, '192.0.2.'),
    { name: 'CommandError', code: 'unavailable', message: /lacks some of them.*\n {2}sudo ifconfig lo0 alias 192\.0\.2\.11\n/ },
  )
})

test('all mail servers share one port, and a second internet beside finds another', async () => {
  const [one, two] = await Promise.all([startInternet(() => undefined), startInternet(() => undefined)])
  assert.notEqual(one.port, two.port)
  await Promise.all([one.close(), two.close()])
})

test('a port on which somebody listens, be it at ::1 alone, is not given', async () => {
  for (const host of ['127.0.0.1', '::1']) {
    const taken = createServer()
    const listening = await new Promise<boolean>((done) => taken.once('error', () => done(false)).listen(0, host, () => done(true)))
    if (!listening) continue
    const { port } = taken.address() as { port: number }
    assert.notEqual(await freePort('127.0.0.1', port), port)
    await new Promise((closed) => taken.close(closed))
  }
})

test('a port that is asked for without a wish is none that an outgoing connection could take', async () => {
  for (let count = 0; count < 10; count++) assert.ok((await freePort('127.0.0.1')) < 32_768)
})
