import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RE2JS } from 're2js'
import { graphOf } from '../../src/detect/graph.ts'
import { reversed } from '../../src/detect/reversed.ts'

type Program = {
  readonly inst: readonly { readonly op: number; readonly out: number; readonly arg: number; readonly runes: Int32Array }[]
  readonly start: number
}

/** What we read of re2js is no part of its promised interface. When these fail after an update, src/detect/graph.ts is to be adapted. */
describe('the instructions of re2js', () => {
  const read = (source: string) => {
    const { inst, start }: Program = RE2JS.compile(source, RE2JS.CASE_INSENSITIVE | RE2JS.MULTILINE).re2().prog
    return { start, inst: inst.map(({ op, out, arg, runes }) => [op, out, arg, ...runes].join(' ')) }
  }
  test('are numbered and linked as we read them', () =>
    assert.deepEqual(read('^(a|-)*?\\bxy|[b-d]é$'), {
      start: 12,
      inst: [
        '5 0 0',
        '4 5 1',
        '3 3 2',
        '8 4 0 45 45 65 65 97 97',
        '3 5 3',
        '1 6 2',
        '4 7 16',
        '8 8 1 88',
        '8 13 1 89',
        '8 10 0 66 68 98 100',
        '8 11 1 201',
        '4 13 2',
        '1 1 9',
        '6 0 0',
      ],
    }))
  test('say of dots and of the ends of texts what we read', () =>
    assert.deepEqual(read('.(?s:.)\\A\\z\\B'), {
      start: 1,
      inst: ['5 0 0', '11 2 0 0 9 11 1114111', '10 3 0 0 1114111', '4 4 4', '4 5 8', '4 6 32', '6 0 0'],
    }))
})

describe('the graph of a pattern', () => {
  const next = (source: string, isReversed = false) => {
    const graph = graphOf(source) ?? assert.fail('too large')
    return (isReversed ? reversed(graph) : graph)?.next.map((all) => [...all])
  }
  test('leads from the start over each character to the end', () => assert.deepEqual(next('ab?c'), [[2], [], [3, 4], [4], [1]]))
  test('leads back when it is turned round', () => assert.deepEqual(next('ab?c', true), [[], [4], [0], [2], [2, 3]]))
  test('turned round, enters a row of options at one place', () => {
    // x₁ x₂ x₃ are 3, 4 and 5, a is 2 and b is 6.
    assert.deepEqual(next('ax{0,3}b'), [[2], [], [3, 6], [4, 6], [5, 6], [6], [1]])
    assert.deepEqual(next('ax{0,3}b', true), [[], [6], [0], [2, 4], [2, 5], [2], [2, 3]])
  })
  test('knows all cases of a character', () => {
    assert.deepEqual(graphOf('k')?.sets, [Int32Array.of(75, 75, 107, 107, 0x212a, 0x212a)])
    assert.deepEqual(graphOf('-')?.sets, [Int32Array.of(45, 45)])
  })
})
