/** Mails made to choke whoever parses them, through the real doors: in by SMTP, out by the portal. Others must not notice. */
import assert from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { after, before, test } from 'node:test'
import { form, reader } from './reader.ts'
import { startWorld, type World } from './world.ts'

let world: World
before(async () => {
  world = await startWorld({ 'town.example': { certificate: 'none' } })
})
after(() => world?.close())

const head = (to: string, ...more: string[]) =>
  ['From: a@org.example', `To: ${to}`, 'Subject: bomb', `Message-ID: <${to}>`, 'MIME-Version: 1.0', ...more].join('\r\n')
const fill = (unit: string, octets: number) => unit.repeat(Math.floor(octets / unit.length))
const nested = (depth: number) =>
  Array.from({ length: depth }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`).join('')
const html = (body: string) => `Content-Type: text/html; charset=utf-8\r\n\r\n${body.replace(/.{900}/g, '$&\r\n')}\r\n`
const KiB = 1024
const large = process.env.LONG_TESTS === '1' ? 24 * KiB * KiB : 3 * KiB * KiB

/** What follows the fields that every mail has. `shown`: the page is of the mail, not an offer of the .eml. */
const bombs: Record<string, { readonly mail: string; readonly shown?: boolean }> = {
  'five thousand nested parts': { mail: `${nested(5000)}\r\nx\r\n` },
  'a hundred thousand parts': { mail: `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(100_000)}--b--\r\n` },
  'megabytes of part headers': {
    mail: `Content-Type: multipart/mixed; boundary=b\r\n\r\n${fill(`--b\r\n${fill('a:\r\n', 60 * KiB)}\r\n\r\n`, large)}--b--\r\n`,
  },
  'lines that begin like boundaries, deep inside': { mail: `${nested(31)}\r\n${fill('--\r\n', large)}\r\n`, shown: true },
  'an address list as long as a header may be': {
    mail: `Cc: ${fill('"a b" <c@d.example>,\r\n ', 240 * KiB)}e@f.example\r\n\r\nx\r\n`,
    shown: true,
  },
  'parameters without end': { mail: `Content-Type: text/plain;\r\n ${fill('a=b;\r\n ', 200 * KiB)}c=d\r\n\r\nx\r\n`, shown: true },
  'escapes that never are any': {
    mail: `Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${fill(`${'='.repeat(70)}\r\n`, large)}`,
    shown: true,
  },
  'tables in tables': { mail: html(fill('<table><tr><td style="color:red">', 900 * KiB)) },
  'attributes by the thousand': { mail: html(`<p ${Array.from({ length: 60_000 }, (_, i) => `a${i}="b"`).join(' ')}>x</p>`) },
  'half-open tags': { mail: html(fill('<a href="', 900 * KiB)) },
}

/** Waits for the mail to `to` that matches; the match. */
const mailed = async (to: string, what: RegExp): Promise<string> => {
  const partner = world.partners['town.example'] ?? assert.fail()
  const { content } = await world.arrival(
    partner,
    (mail) => mail.recipients[0]?.address === to && what.test(mail.content.toString('latin1')),
  )
  return what.exec(content.toString('latin1'))?.[1] ?? assert.fail()
}

async function openedLetter(to: string) {
  const { follow } = reader()
  const landing = form(await follow(await mailed(to, /(http:\/\/localhost:\d+\/m\/[0-9a-z]{32})/)))
  const enter = form(await follow(landing.action, landing.fields))
  return follow(enter.action, { ...enter.fields, code: await mailed(to, /^Subject: (\d{4} \d{4})/m) })
}

for (const [i, [name, { mail, shown = false }]] of Object.entries(bombs).entries()) {
  test(`${name}: accepted, sealed, opened or offered as a file, and nobody else waits`, async (t) => {
    const to = `max${i}@town.example`
    const raw = `${head(to)}\r\n${mail}`
    const delay = monitorEventLoopDelay({ resolution: 10 })
    delay.enable()
    await world.send({ envelope: { from: 'a@org.example', to }, raw })
    const page = await openedLetter(to)
    delay.disable()
    t.diagnostic(`${(raw.length / 1e6).toFixed(1)} MB; the event loop stood still for ${Math.round(delay.max / 1e6)} ms at most`)
    assert.equal(page.status, 200)
    assert.match(page.text, /letter\.eml/)
    if (shown) assert.match(page.text, /bomb/)
    // A hang, not a measure: machines that run tests are busy with other things.
    assert.ok(delay.max < 10e9)
  })
}

test('after all of them an ordinary letter is read', async () => {
  await world.send({ from: 'a@org.example', to: 'ida@town.example', subject: 'Ordinary', text: 'still here' })
  assert.match((await openedLetter('ida@town.example')).text, /still here/)
})
