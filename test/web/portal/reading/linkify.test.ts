import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { linkify } from '../../../../src/web/portal/reading/linkify.ts'

const links = (text: string) => linkify(text).flatMap(({ href }) => href ?? [])

test('a web address becomes a link without the sentence around it', () => {
  assert.deepEqual(links('See https://example.org/a?b=1. Or (https://example.org/x)!'), [
    'https://example.org/a?b=1',
    'https://example.org/x',
  ])
  assert.deepEqual(links('https://example.org/wiki/Letter_(mail)'), ['https://example.org/wiki/Letter_(mail)'])
})

test('nothing but http and https becomes a link', () => {
  assert.deepEqual(links('javascript:alert(1) data:text/html,x file:///etc/passwd ftp://x.example https:// www.example.org'), [])
})

test('quotes, angle brackets and bidi controls end a link', () => {
  assert.deepEqual(links('https://good.example/"onclick="x <https://good.example/y> https://good.example/\u202Egnp.exe'), [
    'https://good.example/',
    'https://good.example/y',
    'https://good.example/',
  ])
})

test('the pieces together are the text, and a link shows exactly where it leads', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.webUrl(), fc.constantFrom('https://', ' ', '.', ')', '\u202e', '"'))), (parts) => {
      const text = parts.join('')
      const pieces = linkify(text)
      assert.equal(pieces.map((piece) => piece.text).join(''), text)
      for (const piece of pieces) assert.ok(piece.href === undefined || piece.href === piece.text)
    }),
  )
})

test('a megabyte of half links takes no time', () => {
  const before = performance.now()
  linkify('https://a.'.repeat(100_000))
  assert.ok(performance.now() - before < 20000)
})
