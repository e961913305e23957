import assert from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Readable } from 'node:stream'
import { after, describe, test } from 'node:test'
import { createDetect } from '../../src/detect/detect.ts'

const detect = createDetect({ time: 20_000 })
after(() => detect.close())

const detectors = [
  { name: 'payment-card', words: [], patterns: [] },
  { name: 'mine', words: ['Projekt Ü'], patterns: [] },
]
const look = (mail: string | Buffer) => detect.look(Readable.from([Buffer.from(mail)]), detectors)
const card = '4111 1111 1111 1111'

async function countsOf(mail: string | Buffer): Promise<readonly number[]> {
  const looked = await look(mail)
  assert.ok(looked.kind === 'found', JSON.stringify(looked))
  return looked.found.map(({ count }) => count)
}

const crlf = (text: string) => text.replaceAll('\n', '\r\n')
const plain = (header: string, body: string) => crlf(`Subject: x\n${header}\n\n${body}\n`)
const base64 = (text: string | Buffer) => Buffer.from(text).toString('base64').replace(/.{76}/g, '$&\r\n')
const mixed = (...parts: string[]) =>
  crlf(`Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n${parts.map((part) => `--b\n${part}\n`).join('')}--b--\n`)

const hidden: readonly (readonly [where: string, mail: string | Buffer])[] = [
  ['the text', plain('Content-Type: text/plain', `${card}, Projekt Ü`)],
  ['a mail without any MIME', `Subject: x\r\n\r\n${card} Projekt Ü\r\n`],
  ['the subject', crlf(`Subject: =?utf-8?B?${base64(`${card} Projekt Ü`)}?=\n\nHi\n`)],
  ['base64', plain('Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64', base64(`${card} Projekt Ü`))],
  [
    'quoted-printable, broken over lines',
    plain(
      'Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable',
      '4111 1111 11=\n11 1111 Projekt =DC',
    ),
  ],
  [
    'UTF-16',
    plain(
      'Content-Type: text/plain; charset=utf-16le\nContent-Transfer-Encoding: base64',
      base64(Buffer.from(`${card} Projekt Ü`, 'utf16le')),
    ),
  ],
  ['full-width digits', plain('Content-Type: text/plain; charset=utf-8', '４１１１ １１１１ １１１１ １１１１ Projekt Ü')],
  [
    'text with zero-width characters in it',
    plain('Content-Type: text/plain; charset=utf-8', '41\u200b11 11\u00ad11 1111 1111 Pro\u00adjekt Ü'),
  ],
  [
    'HTML, cut by tags',
    plain('Content-Type: text/html; charset=utf-8', '<p>41<b>11</b> 1111 <i>1111</i> 1111</p><p>Projekt&nbsp;&Uuml;</p>'),
  ],
  ['entities of HTML', plain('Content-Type: text/html', '<p>&#52;111 1111 1111 111&#x31; Projekt &#220;</p>')],
  [
    'a text file',
    mixed('Content-Type: text/plain\n\nHi', `Content-Type: text/csv; name=list.csv\nContent-Disposition: attachment\n\n${card};Projekt Ü`),
  ],
  [
    'a text file sent as octets',
    mixed(`Content-Type: application/octet-stream; name="list.csv"\nContent-Transfer-Encoding: base64\n\n${base64(`${card};Projekt Ü`)}`),
  ],
  [
    'a mail inside the mail',
    mixed(
      `Content-Type: message/rfc822\n\nSubject: Projekt Ü\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n${base64(card)}`,
    ),
  ],
  ['a multipart that names no boundary', plain('Content-Type: multipart/mixed', `${card} Projekt Ü`)],
  ['a multipart whose boundary never comes', plain('Content-Type: multipart/mixed; boundary=b', `${card} Projekt Ü`)],
  ['what stands before and behind the parts', crlf(`Content-Type: multipart/mixed; boundary=b\n\n${card}\n--b\n\nx\n--b--\nProjekt Ü\n`)],
  [
    'a mail inside the mail, encoded against the rules',
    mixed(`Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n${base64(`Subject: Projekt Ü\r\n\r\n${card}`)}`),
  ],
  ['a mail with international headers inside the mail', mixed(`Content-Type: message/global\n\nSubject: Projekt Ü\n\n${card}`)],
  [
    'both text and HTML, once',
    crlf(
      `Subject: x\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n${card} Projekt Ü\n--b\nContent-Type: text/html; charset=utf-8\n\n<b>${card}</b> Projekt Ü\n--b--\n`,
    ),
  ],
]

describe('detectors', () => {
  for (const [where, mail] of hidden) test(`find what stands in ${where}`, async () => assert.deepEqual(await countsOf(mail), [1, 1]))

  test('do not look at what nobody reads: scripts, styles, tags, pictures', async () =>
    assert.deepEqual(
      await countsOf(
        mixed(
          `Content-Type: text/html\n\n<style>${card}</style><script>${card}</script><a href="${card}">x</a>`,
          `Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n${base64(card)}`,
        ),
      ),
      [0, 0],
    ))

  test('say where they found it', async () => {
    const looked = await look(hidden[10]?.[1] ?? '')
    assert.ok(looked.kind === 'found')
    assert.deepEqual(looked.found[0]?.samples, [{ place: 'file "list.csv"', line: 1, masked: '•••• •••• •••• 1111' }])
  })

  test('call a mail unreadable whose texts or structure are beyond the limits', async () => {
    const huge = Buffer.concat([Buffer.from('Content-Type: text/plain\r\n\r\n'), Buffer.alloc(13 * 1024 * 1024, 'x ')])
    assert.equal((await look(huge)).kind, 'unreadable')
    const deep = Array.from({ length: 80 }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`).join('')
    assert.equal((await look(`Subject: x\r\n${deep}`)).kind, 'unreadable')
    const russian = 'Content-Type: message/rfc822\r\n\r\n'.repeat(10)
    assert.equal((await look(`Subject: x\r\n${russian}Hi`)).kind, 'unreadable')
    const many = Array.from({ length: 500 }, () => '--b\r\nContent-Type: text/plain\r\n\r\nx\r\n').join('')
    assert.equal((await look(`Content-Type: multipart/mixed; boundary=b\r\n\r\n${many}--b--\r\n`)).kind, 'unreadable')
  })

  test('call a mail unreadable that programs read in different ways', async () => {
    const twice = (field: string, one: string, other: string) => `${field}: ${one}\r\n${field}: ${other}\r\n\r\n${base64(card)}\r\n`
    assert.equal((await look(twice('Content-Type', 'image/png', 'text/plain'))).kind, 'unreadable')
    assert.equal((await look(twice('Content-Transfer-Encoding', '8bit', 'base64'))).kind, 'unreadable')
    assert.equal((await look(`Content-Transfer-Encoding: x-uuencode\r\n\r\nx\r\n`)).kind, 'unreadable')
    assert.deepEqual(await countsOf(twice('Content-Type', 'text/plain', 'text/plain')), [0, 0])
  })

  test('end at their time limit, and look at the next mail as if nothing had been', async () => {
    const short = createDetect({ time: 50, threads: 1 })
    const heavy = { name: 'heavy', words: [], patterns: Array.from({ length: 100 }, (_, i) => `(a|b|c${i})*d[a-z]{0,50}e`) }
    const mail = Buffer.concat([Buffer.from('Content-Type: text/plain\r\n\r\n'), Buffer.alloc(4 * 1024 * 1024, 'abc')])
    assert.deepEqual(await short.look(Readable.from([mail]), [heavy]), { kind: 'unreadable', because: 'too much time' })
    await short.close()
    assert.deepEqual(await countsOf(plain('Content-Type: text/plain', card)), [1, 0])
  })

  test('hold only a few mails in memory at once, however many are to be looked into', async () => {
    let reading = 0
    let most = 0
    const slowly = () =>
      Readable.from(
        (async function* () {
          most = Math.max(most, ++reading)
          yield Buffer.from('Content-Type: text/plain\r\n\r\n')
          await new Promise((resolve) => setTimeout(resolve, 20))
          yield Buffer.from(card)
          reading -= 1
        })(),
      )
    const looked = await Promise.all(Array.from({ length: 12 }, () => detect.look(slowly(), detectors)))
    assert.ok(looked.every((one) => one.kind === 'found' && one.found[0]?.count === 1))
    assert.equal(most, 4)
    const waiting = Array.from({ length: 4 }, () => detect.look(slowly(), detectors))
    const broken = new Readable({ read() {} })
    const told = assert.rejects(detect.look(broken, detectors), /gone/)
    broken.destroy(new Error('gone'))
    await Promise.all([...waiting, told])
  })

  test('hold up nobody while they look at megabytes', async () => {
    const lag = monitorEventLoopDelay({ resolution: 10 })
    lag.enable()
    const text = Buffer.concat([
      Buffer.from('Content-Type: text/html\r\n\r\n'),
      Buffer.alloc(8 * 1024 * 1024, `<p>4111 1111 1111 1112 diagnosis &amp;`),
    ])
    await look(text)
    lag.disable()
    assert.ok(lag.max < 2e9, `${lag.max / 1e6} ms`)
  })

  test('reject what cannot be read to its end, so that nobody takes it for empty', async () => {
    const broken = new Readable({
      read() {
        this.destroy(new Error('the seal is broken'))
      },
    })
    await assert.rejects(detect.look(broken, detectors), /the seal is broken/)
  })
})
