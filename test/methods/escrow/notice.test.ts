import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeWords, field, parseHeader, splitHeader } from '../../../src/mail/header.ts'
import { composeCode, composeNotice, composeNotMe, lintNotice, type NoticeLetter } from '../../../src/methods/escrow/notice.ts'
import { languageNames } from '../../../src/methods/escrow/notice-text.ts'
import { defaultSettings } from '../../../src/ops/settings.ts'

const settings = defaultSettings({
  'organisation.name': 'Rheinland Klinik',
  'organisation.domains': ['rheinland-klinik.example'],
  'notice.from': 'post@rheinland-klinik.example',
  'portal.url': 'https://post.rheinland-klinik.example',
})
const parts = { settings, clock: () => Date.UTC(2026, 10, 21, 14) }

const letter: NoticeLetter = {
  id: 'letter-1',
  reference: 'KJ4F-7Q2M',
  address: 'max.maier@lab.example',
  senderName: 'Dr Anna Weber',
  senderAddress: 'a.weber@rheinland-klinik.example',
  expiresAt: Date.UTC(2026, 11, 21, 12),
  messageId: '<befund-1@rheinland-klinik.example>',
  references: '<frage-0@lab.example>',
  languages: ['en'],
}
const secret = 'k3v9x2m7q4t6w5z6n5r2p3s7d2f4h4j6'
const notice = (changes: Partial<NoticeLetter> = {}, subject?: string) =>
  composeNotice(parts, { ...letter, ...changes }, { secret, code: true, subject })

test('the notice reads as the specification shows it', async () => {
  const { content, envelope, kind, about, headerFrom, steps } = await notice()
  const header = parseHeader(splitHeader(content).header)
  assert.equal(field(header, 'From'), '"Dr Anna Weber, Rheinland Klinik" <post@rheinland-klinik.example>')
  assert.match(field(header, 'Reply-To') ?? '', /<a\.weber@rheinland-klinik\.example>/)
  assert.equal(field(header, 'To'), 'max.maier@lab.example')
  assert.equal(field(header, 'Subject'), 'A letter for you - Rheinland Klinik')
  assert.equal(field(header, 'Auto-Submitted'), 'auto-generated')
  assert.equal(field(header, 'In-Reply-To'), '<befund-1@rheinland-klinik.example>')
  assert.equal(field(header, 'References'), '<frage-0@lab.example> <befund-1@rheinland-klinik.example>')
  assert.equal(field(header, 'Expires'), 'Mon, 21 Dec 2026 12:00:00 +0000')
  const text = content.toString()
  assert.ok(
    text.includes(
      [
        'Dr Anna Weber has written to you. Because of what it contains, we keep',
        'the letter in our own mailroom instead of sending it as ordinary e-mail.',
        '',
        'Go to your letter:',
        `https://post.rheinland-klinik.example/m/${secret}`,
        '',
        'You can read it until 21 December 2026, as often as you like. We will',
        'send a short code to this address. We never ask for a password.',
        '',
        'Not sure this is from us? Type post.rheinland-klinik.example into your',
        'browser yourself, or call us on the number you already have.',
        '',
        'Reference: KJ4F-7Q2M',
      ].join('\r\n'),
    ),
    text,
  )
  assert.equal(envelope.reversePath, 'post@rheinland-klinik.example')
  assert.deepEqual([kind, about, headerFrom], ['notice', 'letter-1', 'post@rheinland-klinik.example'])
  assert.deepEqual(steps, [{ method: 'opportunistic', options: { notice: true } }])
})

test('every notice and code mail passes the lint, in every language and with names from all over', async () => {
  const names = [
    'Dr Anna Weber',
    '',
    'Jürgen "der Große" Müller, PhD',
    '李小龍',
    'a.weber@elsewhere.example',
    'Rheinland Klinik',
    'x\u202e\r\nBcc: evil@x.example',
  ]
  for (const first of languageNames) {
    for (const second of languageNames) {
      for (const senderName of names) {
        const languages = first === second ? [first] : [first, second]
        const { content } = await notice({ senderName, languages })
        assert.deepEqual(lintNotice(content), [], `${languages} ${senderName}\n${content}`)
        assert.doesNotMatch(content.toString(), /^Bcc:/m)
        const code = await composeCode(parts, { ...letter, senderName, languages }, { code: '4829 1306', words: 'blue otter' })
        assert.deepEqual(lintNotice(code.content, 'code'), [], String(code.content))
      }
    }
  }
})

test('a second language stands below, with the same link only once', async () => {
  const { content } = await notice({ languages: ['de', 'en'] })
  const text = content.toString()
  assert.ok(text.indexOf('hat Ihnen geschrieben') < text.indexOf('In English:'))
  assert.equal(decodeWords(field(parseHeader(splitHeader(content).header), 'Subject') ?? ''), 'Ein Brief für Sie - Rheinland Klinik')
})

test('a link of 76 characters stays on one line, whatever else the text holds', async () => {
  const url = `https://${'a'.repeat(8)}.rheinland-klinik.example`
  const link = `${url}/m/${secret}`
  assert.equal(link.length, 76)
  const long = { settings: { ...settings, 'portal.url': url }, clock: parts.clock }
  for (const [senderName, language] of [
    ['Anna Weber', 'en'],
    ['Jürgen Müller', 'de'],
  ] as const) {
    const { content } = await composeNotice(long, { ...letter, senderName, languages: [language] }, { secret, code: true })
    // Quoted-printable may break it; whoever reads the mail puts it together again.
    const text = content.toString().replace(/=\r\n/g, '')
    assert.ok(text.includes(`\r\n${link}\r\n`), text)
    assert.deepEqual(lintNotice(content), [])
  }
})

test('the message’s own subject stands in the notice only where the rule allows it, cleaned', async () => {
  const { content } = await notice({}, 'Befund\r\nX-Evil: 1')
  assert.match(content.toString(), /^Subject: Befund X-Evil: 1\r$/m)
  assert.doesNotMatch(content.toString(), /^X-Evil/m)
})

test('the code leads its subject in plain ASCII and the mail holds no link', async () => {
  const { content, kind, steps } = await composeCode(
    parts,
    { ...letter, senderName: 'Jürgen Müller', languages: ['de'] },
    { code: '4829 1306', words: 'blue otter' },
  )
  assert.match(content.toString(), /^Subject: 4829 1306 ist der Code zu Ihrem Brief \(blue otter\)\r$/m)
  assert.doesNotMatch(content.toString(), /https?:/)
  assert.equal(kind, 'code')
  assert.deepEqual(steps, [{ method: 'opportunistic', options: { notice: true, code: true } }])
})

test('the word to the sender goes by the organisation’s route and names the letter', async () => {
  const { content, envelope, kind, steps } = await composeNotMe(parts, letter)
  assert.equal(envelope.recipients[0]?.address, 'a.weber@rheinland-klinik.example')
  assert.deepEqual([kind, steps], ['sender-mail', [{ method: 'route', options: {} }]])
  assert.match(content.toString(), /KJ4F-7Q2M/)
  assert.doesNotMatch(content.toString(), /https?:/, 'the sender has no use for the link')
})

test('the lint finds what looks like phishing', async () => {
  const fine = (await notice()).content.toString()
  const link = `https://post.rheinland-klinik.example/m/${secret}`
  const bad: [string, (mail: string) => string, RegExp][] = [
    ['a forbidden word', (mail) => mail.replace('ordinary e-mail', 'an encrypted message'), /encrypt/],
    ['two links', (mail) => mail.replace('Reference:', 'See https://other.example/\r\nReference:'), /2 links/],
    ['a link inside a sentence', (mail) => mail.replace(`\r\n${link}`, ` ${link}`), /line of its own/],
    ['a foreign link', (mail) => mail.replaceAll('post.rheinland-klinik.example', 'letters.other.example'), /domain of From/],
    ['a long link', (mail) => mail.replaceAll(secret, secret + secret), /more than 76/],
    ['an image', (mail) => mail.replace('</body>', '<img alt=3D"">=\r\n</body>'), /image/],
    [
      'a link that leads elsewhere',
      (mail) => mail.replace('<a href=3D"https://post', '<a href=3D"https://evil'),
      /otherwise than it leads/,
    ],
    ['urgency', (mail) => mail.replace('Reference:', 'Act now! Reference:'), /Act now/],
    ['no Auto-Submitted', (mail) => mail.replace(/Auto-Submitted: .*\r\n/, ''), /Auto-Submitted/],
    ['no way around the link', (mail) => mail.replace('Type post.rheinland-klinik.example', 'Type it'), /way around/],
    ['base64', (mail) => mail.replace(/Content-Transfer-Encoding: \S+/, 'Content-Transfer-Encoding: base64'), /base64/],
    ['asking for a password', (mail) => mail.replace('Reference:', 'Please confirm your password. Reference:'), /password/],
  ]
  for (const [what, spoil, problem] of bad) {
    const spoilt = spoil(fine)
    assert.notEqual(spoilt, fine, `${what}: the test changed nothing`)
    assert.ok(
      lintNotice(Buffer.from(spoilt)).some((found) => problem.test(found)),
      `${what}: ${lintNotice(Buffer.from(spoilt))}`,
    )
  }
  const encoded = `Subject: =?utf-8?Q?4829_1306?=\r\nFrom: x <a@b.example>\r\n\r\nx`
  assert.ok(lintNotice(Buffer.from(encoded), 'code').some((found) => /begin with the code/.test(found)))
})

test('what a foreign header holds never makes a notice undeliverable: odd Message-IDs, endless References, addresses beyond ASCII', async () => {
  const references = Array.from({ length: 500 }, (_, n) => `<${n}@x.example>`).join(' ')
  const long = parseHeader(splitHeader((await notice({ references })).content).header)
  assert.equal(field(long, 'References')?.split(/\s+/).length, 20)
  const odd = (await notice({ messageId: 'no brackets\r\nX-Evil: 1', senderAddress: 'jürgen@rheinland-klinik.example' })).content
  assert.doesNotMatch(odd.toString(), /In-Reply-To|X-Evil|Reply-To/)
  assert.doesNotMatch(odd.toString('latin1'), /[\x80-\xff]/)
})
