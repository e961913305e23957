/** The demo starts beside anything, cleans up, and answers only its own page. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { startDemo } from '../../src/demo/demo.ts'
import { narrate, opening } from '../../src/demo/narrate.ts'
import { startGateway } from '../../src/gateway.ts'
import { CommandError } from '../../src/ops/errors.ts'

test('two demos started at once with the same ports both serve, and leave nothing behind', async () => {
  const base = 39_000 + Math.floor(Math.random() * 500) * 10
  const demos = await Promise.all([1, 2].map(() => startDemo({ auto: false, portBase: base }, startGateway)))
  try {
    const [one, two] = demos
    assert.ok(one && two)
    const ports = demos.flatMap(({ url, settings }) => [
      Number(new URL(url).port),
      ...settings['smtp.listen'].map(({ port }) => port),
      settings['portal.listen'].port,
      settings['admin.listen'].port,
      settings['metrics.listen'].port,
    ])
    assert.equal(new Set(ports).size, ports.length)
    await Promise.all(demos.map(({ sendToAll }) => sendToAll()))
    for (const { url } of demos) assert.match(await (await fetch(url)).text(), /vera@lab\.example/)
  } finally {
    await Promise.all(demos.map(({ stop }) => stop()))
  }
  for (const { settings } of demos) assert.equal(existsSync(settings.data), false)
})

test('a taken port becomes a free one', async () => {
  const taken = createServer()
  await new Promise<void>((listening) => taken.listen(0, '127.0.0.1', listening))
  const { port } = taken.address() as { port: number }
  const demo = await startDemo({ auto: false, portBase: Math.min(port, 65_000) }, startGateway)
  try {
    assert.notEqual(new URL(demo.url).port, String(port))
    assert.equal((await fetch(demo.url)).status, 200)
  } finally {
    await demo.stop()
    taken.close()
  }
})

test('a gateway that cannot start is tried on other ports, then said in its own sentence, and nothing is left behind', async () => {
  const tried = new Set<string>()
  const refusing = async ({ data }: { readonly data: string }, ports: number) => {
    tried.add(`${data} ${ports}`)
    throw new CommandError('unavailable', 'smtp.listen: cannot listen there')
  }
  await assert.rejects(
    startDemo({ auto: false, portBase: 0 }, (settings) => refusing(settings, settings['portal.listen'].port)),
    /cannot listen there/,
  )
  assert.ok(tried.size > 1)
  for (const one of tried) assert.equal(existsSync(one.split(' ')[0] ?? ''), false)
})

test('a port that is none is a mistake in usage', async () => {
  for (const portBase of [Number.NaN, -1, 1.5, 65_001])
    await assert.rejects(startDemo({ auto: false, portBase }, startGateway), { name: 'CommandError', code: 'usage' })
})

test('the button works from the page itself, and nothing answers under a foreign name', async () => {
  const demo = await startDemo({ auto: false, portBase: 0 }, startGateway)
  try {
    const { port } = new URL(demo.url)
    const ask = (method: string, path: string, headers: Record<string, string>) =>
      new Promise<number | undefined>((done, failed) => {
        request({ host: '127.0.0.1', port, method, path, headers }, (response) => done(response.resume().statusCode))
          .on('error', failed)
          .end()
      })
    assert.equal(await ask('POST', '/send', { host: `localhost:${port}`, 'sec-fetch-site': 'cross-site' }), 403)
    assert.equal(await ask('POST', '/send', { host: `localhost:${port}` }), 403)
    assert.deepEqual(await demo.outcomes(), [])
    assert.equal(await ask('POST', '/send', { host: `localhost:${port}`, 'sec-fetch-site': 'same-origin' }), 303)
    assert.equal((await demo.outcomes()).length, 8)
    assert.equal(await ask('GET', '/', { host: 'rebound.example' }), 421)
    assert.equal(await ask('GET', '/mail/99', { host: `localhost:${port}` }), 404)
  } finally {
    await demo.stop()
  }
})

test('the console tells where to go and what is shortened, then each change of an outcome once', async () => {
  const demo = await startDemo({ auto: false, portBase: 0 }, startGateway)
  const lines: string[] = []
  const silence = narrate(demo.outcomes, (line) => lines.push(line))
  try {
    const text = opening(demo)
    for (const told of [demo.url, demo.settings['portal.url'], demo.settings.data, '15 s (usually 60 min)', 'Ctrl-C'])
      assert.ok(text.includes(told), `${told} is missing`)
    await demo.sendToAll()
    const isTold = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length
    const end = Date.now() + 90_000
    while (isTold(/nora@nowhere\.example +Returned to the sender/) < 1 || isTold(/emil@late\.example +Waits/) < 1) {
      assert.ok(Date.now() < end, lines.join('\n'))
      await new Promise((soon) => setTimeout(soon, 50))
    }
    await silence()
    assert.equal(isTold(/nora@nowhere\.example +Returned/), 1)
  } finally {
    await silence()
    await demo.stop()
  }
})
