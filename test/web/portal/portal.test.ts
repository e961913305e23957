import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { sql } from '../../../src/store/db.ts'
import { mail } from './reading/hostile.ts'
import { type Browser, createBrowser, eventually, openLetter, startWorld, type World } from './world.ts'

let world: World
before(async () => {
  world = await startWorld()
})
after(() => world?.close())

const text = (subject: string, lines: readonly string[] = ['', 'Good news.']) =>
  Buffer.from(
    mail([...lines])
      .toString()
      .replace('Subject: x', `Subject: ${subject}`),
  )
const browse = () => createBrowser(world.base)

/** Everything that the pages could change; visits apart, which say that somebody, perhaps a robot, looked. */
async function snapshot() {
  const tables = ['letter', 'letter_header', 'code', 'code_try', 'portal_session', 'message', 'recipient', 'content']
  const rows = await Promise.all(tables.map((table) => world.db.read({ text: `SELECT * FROM ${table} ORDER BY 1`, values: [] })))
  const reads = await world.db.read(sql`SELECT * FROM letter_visit WHERE kind <> 'visit' ORDER BY id`)
  return JSON.stringify([...rows, reads])
}

test('a reader goes from the link over the code to the letter; after the first press the secret is in no URL', async () => {
  const letter = await world.send(text('Your results'))
  const browser = browse()
  const landing = await browser.get(`/m/${letter.secret}`)
  assert.equal(landing.status, 200)
  assert.match(landing.text, /Dr Anna Weber/)
  assert.match(landing.text, /a\.weber@rheinland-klinik\.example/)
  assert.match(landing.text, /r•••@praxis\.example/)
  assert.doesNotMatch(landing.text, /Your results|Good news|reader\d/)
  assert.equal(landing.text.match(/<button/g)?.length, 1)

  const code = await browser.submit(landing, `/m/${letter.secret}`)
  assert.equal(code.status, 200)
  assert.match(code.text, /autocomplete="one-time-code" inputmode="numeric"/)
  assert.doesNotMatch(code.text, /maxlength|Your results/)
  const mailed = await world.code(letter.address, 1)
  const words = /<strong>(\w+ \w+)<\/strong>/.exec(code.text)?.[1] ?? '-'
  assert.match(world.mailsTo(letter.address).at(-1)?.content.toString() ?? '', new RegExp(words))

  const page = await browser.submit(code, code.path, { code: `Your code: ${mailed}. Thanks` })
  assert.equal(page.status, 200)
  assert.match(page.text, /<h1 dir="auto">Your results<\/h1>/)
  assert.match(page.text, /Good news\./)
  assert.match(page.text, /as often as you like/)
  for (const path of browser.visited.slice(2)) assert.doesNotMatch(path, new RegExp(letter.secret))
  for (const shown of [code.text, page.text]) assert.doesNotMatch(shown, new RegExp(letter.secret))
})

test('cookies are of this letter, HttpOnly and Lax, and change when the code opened it', async () => {
  const letter = await world.send(text('Cookies'))
  const browser = browse()
  await openLetter(world, browser, letter)
  assert.equal(browser.cookies.size, 1)
  const made = browser.setCookies.filter((line) => !/max-age=0/i.test(line))
  assert.equal(made.length, 2)
  assert.notEqual(made[0]?.split('=')[0], made[1]?.split('=')[0])
  for (const line of made) assert.match(line, /^letter-[\w-]+=[\w.-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/)
})

test('GET and HEAD of every page and link, at every stage, change nothing', async () => {
  const letter = await world.send(text('Robots'))
  const browser = browse()
  const pages = [await browser.get(`/m/${letter.secret}`)]
  const look = async () => {
    // That a notice or a code has arrived is written down a moment after it has.
    await eventually(async () => (await world.db.read(sql`SELECT id FROM recipient WHERE state = 'waiting'`)).length === 0 || undefined)
    const before = await snapshot()
    const paths = pages.flatMap((page) => [
      page.path,
      ...[...page.text.matchAll(/(?:href|action|src)="(\/[^"]*)"/g)].map(([, path = '']) => path),
    ])
    for (const path of new Set(paths)) {
      await browser.get(path)
      await fetch(world.base + path, {
        method: 'HEAD',
        redirect: 'manual',
        headers: { cookie: [...browser.cookies].map((pair) => pair.join('=')).join('; ') },
      })
    }
    assert.equal(await snapshot(), before)
  }
  await look()
  const code = await browser.submit(pages[0] as (typeof pages)[0], `/m/${letter.secret}`)
  const mailed = await world.code(letter.address, 1)
  pages.push(code)
  await look()
  pages.push(await browser.submit(code, code.path, { code: mailed }))
  pages.splice(1, 1)
  assert.match(pages.at(-1)?.text ?? '', /Robots/)
  await look()
})

test('a robot that presses every button and submits every form causes one code mail and keeps nobody out', async () => {
  const letter = await world.send(text('Pressed'))
  const robot = browse()
  for (let round = 0; round < 3; round++) {
    const page = await robot.submit(await robot.get(`/m/${letter.secret}`), `/m/${letter.secret}`)
    await robot.submit(page, page.path, { code: '' })
    await robot.submit(page, /resend$/)
  }
  await world.code(letter.address, 1)
  assert.equal(world.mailsTo(letter.address).length, 2)
  const [row] = await world.db.read(sql`SELECT state FROM letter WHERE address = ${letter.address}`)
  assert.equal(row?.state, 'notified')
  const browser = browse()
  const code = await browser.submit(await browser.get(`/m/${letter.secret}`), `/m/${letter.secret}`)
  const page = await browser.submit(code, code.path, { code: await world.code(letter.address, 1) })
  assert.match(page.text, /Good news/)
})

test('the POST of the code marks the letter read, not the GET of its page', async () => {
  const letter = await world.send(text('Read'))
  const browser = browse()
  const code = await browser.submit(await browser.get(`/m/${letter.secret}`), `/m/${letter.secret}`)
  const token = /name="token" value="([^"]+)"/.exec(code.text)?.[1] ?? ''
  const answer = await browser.post(code.path, { token, code: await world.code(letter.address, 1) })
  assert.equal(answer.status, 303)
  const [row] = await world.db.read(sql`SELECT state FROM letter WHERE address = ${letter.address}`)
  assert.equal(row?.state, 'read')
})

test('every answer, pages and errors and files, carries the headers that keep it to itself', async () => {
  const letter = await world.send(text('Headers'))
  const browser = browse()
  const page = await openLetter(world, browser, letter)
  const answers = [page]
  for (const path of [
    '/',
    '/help',
    '/privacy',
    '/nowhere',
    '/m/unknown',
    '/m/%zz',
    `/m/${letter.secret}`,
    `${page.path}/letter.eml`,
    `${page.path}/content`,
  ])
    answers.push(await browser.get(path))
  for (const { headers, path } of answers) {
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'/, path)
    assert.doesNotMatch(headers.get('content-security-policy') ?? '', /script-src|unsafe-inline'?;? *style-src /, path)
    assert.equal(headers.get('referrer-policy'), 'no-referrer', path)
    assert.equal(headers.get('cache-control'), 'no-store', path)
    assert.equal(headers.get('x-content-type-options'), 'nosniff', path)
    assert.match(headers.get('x-robots-tag') ?? '', /noindex/, path)
    assert.equal(headers.get('x-powered-by'), null, path)
    assert.equal(headers.get('strict-transport-security'), null, path)
  }
  assert.match(
    page.headers.get('content-security-policy') ?? '',
    /style-src 'sha256-[\w+/=]+'; .*form-action 'self'; frame-ancestors 'none'/,
  )
})

test('an unknown Host is misdirected, and learns nothing', async () => {
  const letter = await world.send(text('Host'))
  const asked = (host: string) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const { hostname, port } = new URL(world.base)
      request({ hostname, port, path: `/m/${letter.secret}`, headers: { host } }, (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (chunk) => (body += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      })
        .on('error', reject)
        .end()
    })
  const evil = await asked('evil.example')
  assert.equal(evil.status, 421)
  assert.doesNotMatch(evil.body, /Weber/)
  assert.equal((await asked('127.0.0.1:1')).status, 200)
})

test('a form that another site submits is refused, one with Origin null is not', async () => {
  const letter = await world.send(text('Forms'))
  const browser = browse()
  const landing = await browser.get(`/m/${letter.secret}`)
  const token = /name="token" value="([^"]+)"/.exec(landing.text)?.[1] ?? ''
  const before = await snapshot()
  for (const site of ['cross-site', 'same-site']) {
    const answer = await browser.post(landing.path, { token }, { 'sec-fetch-site': site })
    assert.equal(answer.status, 403)
    assert.match(answer.text, /did not come from our page/)
  }
  for (const wrong of ['', 'x'.repeat(22)]) {
    const answer = await browser.post(landing.path, { token: wrong })
    assert.equal(answer.status, 422)
    assert.match(answer.text, /press Continue once more/)
  }
  assert.equal(await snapshot(), before)
  assert.equal((await browser.post(landing.path, { token }, { origin: 'null' })).status, 303)
})

test('a wrong code says how many tries are left, an empty one is no try, and the fifth wrong one ends them for this browser only', async () => {
  const letter = await world.send(text('Tries'))
  const browser = browse()
  let page = await browser.submit(await browser.get(`/m/${letter.secret}`), `/m/${letter.secret}`)
  const right = await world.code(letter.address, 1)
  const wrong = right.startsWith('1') ? '2222 2222' : '1111 1111'
  const action = page.path.replace(/\?.*/, '')
  page = await browser.submit(page, action, { code: 'hello' })
  assert.match(page.text, /Type the code/)
  page = await browser.submit(page, action, { code: wrong })
  assert.match(page.text, /You have 4 more tries/)
  assert.match(page.text, /aria-invalid="true"/)
  assert.match((await browser.get(page.path)).text, /You have 4 more tries/, 'a reload is no try')
  for (let i = 0; i < 4; i++) page = await browser.submit(page, action, { code: wrong })
  assert.match(page.text, /no tries left/)
  assert.doesNotMatch(page.text, /<input id="code"/)

  const other = browse()
  const again = await other.submit(await other.get(`/m/${letter.secret}`), `/m/${letter.secret}`)
  assert.match((await other.submit(again, again.path, { code: right })).text, /Good news/)
})

test('asking for a new code too soon names the one that works', async () => {
  const letter = await world.send(text('Resend'))
  const browser = browse()
  const page = await browser.submit(await browser.get(`/m/${letter.secret}`), `/m/${letter.secret}`)
  await world.code(letter.address, 1)
  const answer = await browser.submit(page, /resend$/)
  assert.match(answer.text, /No new code was sent: please use the one of/)
  assert.equal(world.mailsTo(letter.address).length, 2)
})

test('two letters stay open side by side, and closing one leaves the other', async () => {
  const [one, two] = [await world.send(text('First letter')), await world.send(text('Second letter'))]
  const browser = browse()
  const first = await openLetter(world, browser, one)
  const second = await openLetter(world, browser, two)
  assert.match((await browser.get(first.path)).text, /First letter/)
  const closed = await browser.submit(first, /close$/)
  assert.match(closed.text, /The letter is closed/)
  assert.equal((await browser.get(first.path)).status, 403)
  assert.match((await browser.get(second.path)).text, /Second letter/)
})

test('another browser, a stale cookie and an ended session are led back to the link', async () => {
  const letter = await world.send(text('Session'))
  const browser = browse()
  const page = await openLetter(world, browser, letter)
  for (const path of [
    page.path,
    `${page.path}/content`,
    `${page.path}/letter.eml`,
    `${page.path}/file/0`,
    page.path.replace('letter', 'c'),
  ]) {
    const stranger = await browse().get(path)
    assert.equal(stranger.status, 403, path)
    assert.match(stranger.text, /open the link again/)
  }
  world.advance(31 * 60_000)
  assert.equal((await browser.get(page.path)).status, 403)
})

test('a session id made up in a URL writes no cookie', async () => {
  for (const path of ['/c/a%3Db%3B%20Path%3D%2F', '/c/a%0d%0aX-Evil:%201', '/letter/__proto__', '/c/none']) {
    const answer = await browse().get(path)
    assert.equal(answer.status, 403, path)
    assert.equal(answer.headers.get('set-cookie'), null, path)
    assert.equal(answer.headers.get('x-evil'), null, path)
  }
})

test('the .eml is the message byte for byte, and files are only ever saved', async () => {
  const content = text('Downloads "2"\u202Efdp', [
    'Content-Type: multipart/mixed; boundary=b',
    ...['', '--b', '', 'See the file.', '--b', 'Content-Type: text/html', 'Content-Disposition: attachment; filename="a/../b<c>.html"', ''],
    ...['<script>alert(1)</script>', '--b--', ''],
  ])
  const letter = await world.send(content)
  const browser = browse()
  const page = await openLetter(world, browser, letter)
  assert.match(page.text, /HTML<\/bdi>, 1 kB/)
  const eml = await browser.get(`${page.path}/letter.eml`)
  assert.ok(eml.text.endsWith(content.toString().slice(content.toString().indexOf('Content-Type: multipart'))))
  assert.match(eml.headers.get('content-disposition') ?? '', /^attachment; filename="Downloads _2_fdp\.eml"/)
  const file = await browser.get(/href="([^"]*\/file\/\d+)"/.exec(page.text)?.[1] ?? '')
  assert.match(file.text, /^<script>alert\(1\)<\/script>/)
  for (const { headers } of [eml, file]) {
    assert.equal(headers.get('content-type'), 'application/octet-stream')
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'; frame-ancestors 'none'; sandbox/)
    assert.match(headers.get('content-disposition') ?? '', /^attachment; filename="[^"<>/\\]*"; filename\*=UTF-8''[\w.%-]*$/)
  }
  for (const number of ['0', '2', '-1', '99999', 'x', '..%2f0'])
    assert.equal((await browser.get(`${page.path}/file/${number}`)).status, 404)
})

test('HTML is on its own path under its own policy, and has a plain view', async () => {
  const letter = await world.send(
    text('Designed', ['Content-Type: text/html; charset=utf-8', '', '<p>Grüße &amp; <b>mehr</b></p><script>alert(1)</script>']),
  )
  const browser = browse()
  const page = await openLetter(world, browser, letter)
  assert.match(page.text, /<iframe [^>]*sandbox="allow-popups allow-popups-to-escape-sandbox"/)
  assert.doesNotMatch(page.text, /Grüße/)
  const frame = await browser.get(`${page.path}/content`)
  assert.match(frame.text, /<p>Grüße &amp; <b>mehr<\/b><\/p>/)
  assert.doesNotMatch(frame.text, /<script/)
  const policy = frame.headers.get('content-security-policy') ?? ''
  assert.match(policy, /default-src 'none'; img-src data:;.*sandbox allow-popups allow-popups-to-escape-sandbox$/)
  assert.doesNotMatch(policy, /allow-scripts|allow-same-origin|allow-forms|allow-top/)
  assert.match((await browser.get(`${page.path}?view=text`)).text, /Grüße &amp; mehr/)
})

test('mail that cannot be read here still has its subject and its .eml', async () => {
  const depth = 80
  const nested = Array.from({ length: depth }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}`)
  const letter = await world.send(text('Too deep', [...nested, '', 'inside']))
  const page = await openLetter(world, browse(), letter)
  assert.equal(page.status, 200)
  assert.match(page.text, /Too deep/)
  assert.match(page.text, /cannot show this letter here/)
  assert.match(page.text, /letter\.eml/)
})

test('telling that the letter is for somebody else takes a press, tells the sender once, and does not close the letter', async () => {
  const letter = await world.send(text('Not me'))
  const browser = browse()
  const landing = await browser.get(`/m/${letter.secret}`)
  assert.match(landing.text, new RegExp(`href="/m/${letter.secret}/not-me"`))
  const page = await browser.get(`/m/${letter.secret}/not-me`)
  const before = world.mailsTo('a.weber@rheinland-klinik.example').length
  for (let i = 0; i < 2; i++) {
    const done = await browser.submit(page, /not-me$/)
    assert.equal(done.path, '/not-me')
    assert.match(done.text, /The sender has been told/)
  }
  await eventually(() => world.mailsTo('a.weber@rheinland-klinik.example').length > before || undefined)
  assert.equal(world.mailsTo('a.weber@rheinland-klinik.example').length, before + 1)
  assert.equal((await browser.get(`/m/${letter.secret}`)).status, 200)
})

test('pages speak the language of the browser', async () => {
  const letter = await world.send(text('Sprache'))
  const browser = browse()
  const page = await browser.get(`/m/${letter.secret}`, { 'accept-language': 'de-DE,de;q=0.9,en;q=0.8' })
  assert.match(page.text, /<html lang="de"/)
  assert.match(page.text, /hat Ihnen geschrieben/)
  assert.match(page.headers.get('vary') ?? '', /Accept-Language/)
})

test('a page is compressed and, compressed, within the first flight of a connection', async () => {
  const letter = await world.send(text('Small'))
  const { hostname, port } = new URL(world.base)
  const body = await new Promise<Buffer>((resolve, reject) => {
    request({ hostname, port, path: `/m/${letter.secret}`, headers: { 'accept-encoding': 'gzip' } }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)))
    })
      .on('error', reject)
      .end()
  })
  assert.ok(body.length < 14_000, `${body.length} bytes`)
  assert.match(gunzipSync(body).toString(), /Dr Anna Weber/)
})

test('nonsense is answered with a plain page and never with a stack', async () => {
  const browser = browse()
  const big = await browser.post('/m/x', { token: 'x'.repeat(20_000) })
  assert.equal(big.status, 413)
  const fields = await browser.post('/m/x', Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`f${i}`, ''])))
  assert.equal(fields.status, 413)
  const paths = [
    '/m/%zz',
    '/m/%00',
    `/m/${'x'.repeat(9000)}`,
    '/c/x',
    '/letter/x',
    '/static/../package.json',
    '/..%2f..%2fpackage.json',
    '/m/',
  ]
  const answers = [big, fields, ...(await Promise.all(paths.map((path) => browser.get(path))))]
  for (const { status, text: shown, headers, path } of answers) {
    assert.ok(status >= 400 && status < 500, `${path}: ${status}`)
    assert.match(headers.get('content-type') ?? '', /text\/html/)
    assert.match(shown, /<h1>/)
    assert.doesNotMatch(shown, /Error:|node_modules|\.ts:|at \w+ \(/)
  }
})

test('a letter past its date says until when it could be read', async () => {
  const letter = await world.send(text('Expiring'))
  const until = /(\d{1,2} \w+ \d{4})/.exec((await browse().get(`/m/${letter.secret}`)).text.split('Can be read until')[1] ?? '')?.[1] ?? '-'
  const reader: Browser = browse()
  const page = await openLetter(world, reader, letter)
  world.advance(31 * 24 * 3_600_000)
  const gone = await reader.get(`/m/${letter.secret}`)
  assert.equal(gone.status, 410)
  assert.match(gone.text, /has expired/)
  assert.match(gone.text, new RegExp(until))
  assert.equal((await reader.get(page.path)).status, 403)
})

test('an unknown link is a plain page, and too many of them from one address must wait; a letter is served all the same', async () => {
  const letter = await world.send(text('Busy network'))
  const browser = browse()
  const unknown = await browser.get('/m/0123456789abcdefghjkmnpqrstvwxyz')
  assert.equal(unknown.status, 404)
  assert.match(unknown.text, /do not know this link/)
  let last = unknown
  // No proxy is trusted: what a client says of its address changes nothing.
  for (let i = 0; i < 61; i++) last = await browser.get('/m/0123456789abcdefghjkmnpqrstvwxyz', { 'x-forwarded-for': `192.0.2.${i}` })
  assert.equal(last.status, 429)
  assert.equal(last.headers.get('retry-after'), '600')
  assert.equal((await browser.get(`/m/${letter.secret}`)).status, 200)
})
