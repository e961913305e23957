import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseContentType } from '../../src/mail/content-type.ts'

test('type and parameters are read in any case, quoted or not, with comments', () => {
  const { type, parameters } = parseContentType('Multipart/Mixed (a comment); Boundary="a \\"b\\"; c=d" ; CHARSET=utf-8;x=')
  assert.equal(type, 'multipart/mixed')
  assert.deepEqual({ ...parameters }, { boundary: 'a "b"; c=d', charset: 'utf-8', x: '' })
})

test('of a parameter given twice the first counts, and __proto__ is only a name', () => {
  const { parameters } = parseContentType('text/plain; a=1; a=2; __proto__=3')
  assert.equal(parameters.a, '1')
  assert.equal(Object.getPrototypeOf(parameters), null)
})

test('what is no type is text/plain', () => {
  for (const value of ['', 'text', 'text/', '/plain', 'text/plain/x', 'te xt/plain', ';'])
    assert.equal(parseContentType(value).type, 'text/plain', value)
})

test('hostile values are read in linear time', () => {
  fc.assert(fc.property(fc.string(), (value) => parseContentType(value).type.includes('/')))
  const started = performance.now()
  for (const piece of ['a=', ';a', '"', '\\"', '(', 'a="', ' ', '="\\']) parseContentType(`text/plain;${piece.repeat(60_000)}`)
  assert.ok(performance.now() - started < 10000, `${performance.now() - started} ms`)
})
