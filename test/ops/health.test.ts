/** /livez and /readyz, as a probe sees them. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, test } from 'node:test'
import { startHealth } from '../../src/ops/health.ts'

let wrong: string | undefined
const health = await startHealth({ host: '127.0.0.1', port: 0 }, () => wrong)
after(health.close)

function ask(
  path: string,
  options: { readonly method?: string; readonly host?: string } = {},
): Promise<{ status: number | undefined; text: string }> {
  return new Promise((done, failed) => {
    const asked = request(
      { host: '127.0.0.1', port: health.port, path, method: options.method ?? 'GET', headers: { host: options.host ?? 'localhost' } },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => done({ status: response.statusCode, text }))
      },
    )
    asked.once('error', failed)
    asked.end()
  })
}

test('both answer 200 for any Host when nothing is wrong', async () => {
  assert.deepEqual(await ask('/readyz', { host: 'anything.example' }), { status: 200, text: 'ok\n' })
  assert.deepEqual(await ask('/livez?verbose', { host: '' }), { status: 200, text: 'ok\n' })
})

test('/readyz says what is wrong while /livez stays', async () => {
  wrong = 'the database does not answer'
  assert.deepEqual(await ask('/readyz'), { status: 503, text: 'the database does not answer\n' })
  assert.equal((await ask('/livez')).status, 200)
  wrong = undefined
})

test('other paths and methods are refused', async () => {
  assert.equal((await ask('/metrics')).status, 404) // without figures to show
  assert.equal((await ask('/readyz', { method: 'POST' })).status, 405)
  assert.deepEqual(await ask('/livez', { method: 'HEAD' }), { status: 200, text: '' })
})

test('an address that is taken is an error, not a crash', async () => {
  await assert.rejects(
    startHealth({ host: '127.0.0.1', port: health.port }, () => undefined),
    /EADDRINUSE/,
  )
})
