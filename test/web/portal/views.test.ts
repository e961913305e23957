import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { packageRoot } from '../../../src/ops/package-root.ts'
import { de } from '../../../src/web/portal/messages/de.ts'
import { en } from '../../../src/web/portal/messages/en.ts'
import { wordsFor } from '../../../src/web/portal/messages/language.ts'
import { createViews, type ViewData, type ViewName } from '../../../src/web/portal/views.ts'

const folder = join(packageRoot, 'views', 'portal')
const hostile = '</title></style><script>alert("1")</script>\'"><img src=x onerror=alert(1)>'
const views = createViews(hostile)

/**
 * eta writes `<%~` unescaped. A layout cannot do without: it takes the page that eta has just rendered (`body`), our own style sheet, and in the
 * frame's document what the sanitiser gave back. These four places, and no other.
 */
const raw: Record<string, readonly string[]> = {
  'layout.eta': ['<%~ it.style %>', '<%~ it.body %>'],
  'content.eta': ['<%~ it.style %>', '<%~ it.html %>'],
}

test('views write nothing unescaped but the style sheets, the rendered page and the sanitised letter', () => {
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.eta'))) {
    const text = readFileSync(join(folder, name), 'utf8')
    assert.deepEqual(text.match(/<%[-_]?\s*~.*?%>/g) ?? [], raw[name] ?? [], name)
    assert.doesNotMatch(text, /<%(?![=~]?\s)|__eta|output\(|\bstyle="|<script|\son\w+="|javascript:/, name)
  }
})

const data: ViewData = {
  landing: {
    ...{
      sender: hostile,
      senderAddress: hostile,
      address: hostile,
      createdAt: 0,
      expiresAt: 1e12,
      action: '/m/x',
      token: 't',
      host: hostile,
    },
    again: true,
    next: hostile,
  },
  passphrase: { action: '/c/x', token: 't', sender: hostile, triesLeft: 2, problem: hostile },
  status: {
    facts: [[hostile, hostile]],
    paragraphs: [hostile],
    problem: hostile,
    form: { action: '/s/x', token: 't', button: hostile, sure: hostile },
    choices: [
      { title: hostile, text: hostile, form: { action: '/s/x', token: 't', button: hostile }, link: { href: '/s/x', text: hostile } },
    ],
  },
  code: {
    ...{
      action: '/c/x',
      token: 't',
      address: hostile,
      codeWords: hostile,
      inputMode: 'numeric',
      sentAt: 1,
      validUntil: 3,
      mayResendAt: 9,
      now: 2,
    },
    ...{ triesLeft: 2, limited: false, problem: hostile },
  },
  letter: {
    ...{
      action: '/letter/x',
      token: 't',
      subject: hostile,
      sender: hostile,
      senderAddress: hostile,
      writtenAt: 0,
      expiresAt: 1e12,
      label: hostile,
    },
    to: [{ name: hostile, address: hostile }],
    cc: [{ name: hostile, address: hostile }],
    body: { kind: 'text', pieces: [{ text: hostile, href: 'https://x.example/' }, { text: hostile }], designed: true },
    shortened: true,
    files: [{ number: 0, name: hostile, kind: hostile, size: 1 }],
  },
  plain: { paragraphs: [hostile], home: true },
  questions: { items: [{ question: hostile, answer: hostile }] },
  'not-me': { action: '/m/x', token: 't', sender: hostile },
}

for (const lang of ['en', 'de'])
  for (const name of Object.keys(data) as ViewName[])
    test(`the ${name} page in ${lang} escapes everything, has every word, and weighs less than 14 kB`, () => {
      const words = wordsFor(lang)
      const html = views.page(name, { title: hostile, words, reference: hostile, wide: true }, data[name])
      assert.doesNotMatch(html, /<script|<img|onerror=alert\(1\)>|undefined|\[object|NaN/)
      assert.match(html, new RegExp(`<html lang="${lang}" dir="ltr">`))
      assert.equal(html.match(/<h1[ >]/g)?.length, 1)
      assert.equal(html.match(/<main>/g)?.length, 1)
      assert.ok(gzipSync(html).length < 14_000)
    })

test('every language has every word, none of them empty, none left in English', () => {
  const same = new Set(['ltr', 'Code', 'Cookies'])
  const walk = (one: unknown, other: unknown, path: string): void => {
    if (typeof one === 'string') {
      assert.ok(typeof other === 'string' && other !== '', path)
      if (!same.has(one) && !path.endsWith('.locale')) assert.notEqual(one, other, path)
    } else if (typeof one === 'function') {
      assert.equal(typeof other, 'function', path)
      assert.notEqual(String(one(1, 2)), String((other as typeof one)(1, 2)), path)
    } else if (typeof one === 'object' && one !== null) {
      assert.deepEqual(Object.keys(one), Object.keys(other as object), path)
      for (const [key, value] of Object.entries(one)) walk(value, (other as Record<string, unknown>)[key], `${path}.${key}`)
    }
  }
  walk(en, de, 'messages')
})

test('the language is the first of the browser that we have, then of the letter, then of the organisation', () => {
  assert.equal(wordsFor('fr-FR, de;q=0.8, en;q=0.9').lang, 'en')
  assert.equal(wordsFor('fr, de-AT;q=0.5', 'en').lang, 'de')
  assert.equal(wordsFor('fr', 'de', 'en').lang, 'de')
  assert.equal(wordsFor(undefined, undefined, 'de').lang, 'de')
  assert.equal(wordsFor('en;q=0, de').lang, 'de')
  assert.equal(wordsFor(`${'x'.repeat(10_000)};;;,,,=`).lang, 'en')
})

test('dates and sizes are written as the language writes them', () => {
  const at = Date.UTC(2026, 11, 21, 12)
  assert.equal(wordsFor('en').date(at), '21 December 2026')
  assert.equal(wordsFor('en-US').date(at), 'December 21, 2026')
  assert.equal(wordsFor('de').date(at), '21. Dezember 2026')
  assert.equal(wordsFor('de').size(1_400_000), '1,4 MB')
  assert.equal(wordsFor('en').size(10), '1 kB')
})
