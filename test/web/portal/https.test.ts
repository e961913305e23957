import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import { mail } from './reading/hostile.ts'
import { startWorld, type World } from './world.ts'

/** As behind a TLS proxy: plain HTTP, the public Host. */
let world: World
before(async () => {
  world = await startWorld({
    'portal.url': 'https://post.rheinland-klinik.example',
    'portal.formerUrls': ['https://old.rheinland-klinik.example'],
  })
})
after(() => world?.close())

type Answer = { readonly status: number; readonly headers: Record<string, string | string[] | undefined>; readonly text: string }

const ask = (path: string, host: string, body?: string) =>
  new Promise<Answer>((resolve, reject) => {
    const { hostname, port } = new URL(world.base)
    const method = body === undefined ? 'GET' : 'POST'
    const headers = {
      host,
      ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length }),
    }
    request({ hostname, port, path, method, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
      .on('error', reject)
      .end(body)
  })

test('with https the cookie is Secure and bound to this host, and browsers are told to stay with https', async () => {
  const letter = await world.send(mail(['', 'Hello']))
  assert.match(letter.notice, /https:\/\/post\.rheinland-klinik\.example\/m\//)
  const landing = await ask(`/m/${letter.secret}`, 'post.rheinland-klinik.example')
  assert.match(String(landing.headers['strict-transport-security']), /^max-age=31536000/)
  assert.match(landing.text, /Type \u2068post\.rheinland-klinik\.example\u2069 into your browser/)
  const token = /name="token" value="([^"]+)"/.exec(landing.text)?.[1] ?? ''
  const pressed = await ask(`/m/${letter.secret}`, 'post.rheinland-klinik.example', `token=${token}`)
  assert.equal(pressed.status, 303)
  assert.match(
    String(pressed.headers['set-cookie']),
    /^__Host-letter-[\w-]+=[\w.-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax; Secure$/,
  )
  assert.match(String(pressed.headers.location), /^\/c\/[\w-]+$/)
})

test('a link to a former address still works; loopback and other names do not', async () => {
  const letter = await world.send(mail(['', 'Hello']))
  assert.equal((await ask(`/m/${letter.secret}`, 'old.rheinland-klinik.example')).status, 200)
  for (const host of ['localhost', '127.0.0.1', 'rheinland-klinik.example']) assert.equal((await ask('/', host)).status, 421)
})
