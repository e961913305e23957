import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { RE2JS } from 're2js'
import { mostOfTable } from '../../src/detect/automaton.ts'
import type { Find } from '../../src/detect/find.ts'
import { checkPattern, compilePattern } from '../../src/detect/pattern.ts'
import { findPatterns } from '../../src/detect/patterns.ts'

const isLong = process.env.LONG_TESTS === '1'

const compiled = (source: string) => {
  const read = compilePattern(source)
  return read.kind === 'pattern' ? read.pattern : assert.fail(`${source} ${read.wrong.text}`)
}
const found = (source: string, text: string): readonly string[] =>
  [...compiled(source).find(text)].map(({ from, to }) => text.slice(from, to))

/** What both JavaScript and RE2 know, and mean alike: a dot is other than a line's end to both when the only one is LF. */
const atoms = [
  'a',
  'b',
  '-',
  'é',
  '😀',
  'k',
  '[ab]',
  '[^a]',
  '[^ab\\n]',
  '\\w',
  '\\W',
  '\\d',
  '\\s',
  '.',
  '\\p{L}',
  '\\b',
  '\\B',
  '^',
  '$',
  '\\n',
]
const quantifiers = ['*', '+', '?', '{2}', '{1,3}', '{0,2}', '{0,3}', '*?', '+?', '{2,}']
const anyPattern = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(...atoms),
    fc.tuple(tie('pattern'), tie('pattern')).map(([one, other]) => one + other),
    fc.tuple(tie('pattern'), tie('pattern')).map(([one, other]) => `(?:${one}|${other})`),
    fc.tuple(tie('pattern'), fc.constantFrom(...quantifiers)).map(([one, quantifier]) => `(?:${one})${quantifier}`),
  ),
})).pattern
const anyText = fc
  .array(fc.constantFrom('a', 'b', '-', 'é', 'É', '😀', 'K', 'k', '\n', '1', ' ', 'A', '中'), { maxLength: 9 })
  .map((all) => all.join(''))

/** By trying every place: of what can be found behind the last find, what ends first, from where it can begin first, to where it can end last. */
function plainFinds(source: string, text: string): readonly Find[] {
  const characters = [...text]
  const count = characters.length
  const offset = (index: number) => characters.slice(0, index).join('').length
  const matches = (from: number, to: number) =>
    new RegExp(`(?<=(?<![^])[^]{${from}})(?:${source})(?=[^]{${count - to}}(?![^]))`, 'imu').test(text)
  const finds: Find[] = []
  for (let behind = 0; behind < count; ) {
    const places = Array.from({ length: count + 1 }, (_, i) => i)
    const end = places.find((to) => to > behind && places.some((from) => from >= behind && from < to && matches(from, to)))
    if (end === undefined) break
    const from = places.find((place) => place >= behind && matches(place, end)) ?? assert.fail()
    behind = places.findLast((to) => to >= end && matches(from, to)) ?? assert.fail()
    finds.push({ from: offset(from), to: offset(behind) })
  }
  return finds
}

describe('a pattern', () => {
  test('finds what trying every place with the regular expressions of JavaScript finds, and something where re2js does', () =>
    fc.assert(
      fc.property(anyPattern, fc.array(anyText, { minLength: 3, maxLength: 3 }), (source, texts) => {
        const read = compilePattern(source)
        if (read.kind === 'wrong') return
        for (const text of texts) {
          const finds: readonly Find[] = [...read.pattern.find(text)]
          assert.deepEqual(finds, plainFinds(source, text), JSON.stringify([source, text]))
          assert.equal(finds.length > 0, RE2JS.compile(source, RE2JS.CASE_INSENSITIVE | RE2JS.MULTILINE).test(text))
        }
      }),
      { numRuns: isLong ? 20_000 : 1000 },
    ))

  const cases: readonly (readonly [source: string, text: string, expected: readonly string[]])[] = [
    // What ends first is found, from where it begins first, to where it ends last.
    ['\\d+', 'a 12345 b 6', ['12345', '6']],
    ['(ab)+', 'ababab', ['ababab']],
    ['a|ab', 'ab', ['ab']],
    ['a.*c|b', 'abc', ['b']],
    ['a+?', 'aaa', ['aaa']],
    ['aa', 'aaaaa', ['aa', 'aa']],
    ['[\\w.]+@[\\w.]+', 'eva@lab.example,max@b.example', ['eva@lab.example', 'max@b.example']],
    // Case, beyond ASCII too.
    ['straße k', 'STRAßE \u212a', ['STRAßE \u212a']],
    ['ſ', 'S', ['S']],
    ['\\bk', 'K \u212a', ['K']],
    // Characters of two units, and halves of them.
    ['😀', 'a😀b', ['😀']],
    ['a.b', 'a😀b a\ud83db', ['a😀b', 'a\ud83db']],
    ['[^a]', 'a😀a', ['😀']],
    ['[😀-😂]+', '😀😁😂😃', ['😀😁😂']],
    ['\\p{Lu}\\p{Greek}+', 'aΑβγ1', ['aΑβγ']],
    // Words are of ASCII letters, digits and _.
    ['\\bab\\b', 'éabé ab_ ab', ['ab', 'ab']],
    // Lines end with LF, CR LF, or CR.
    ['^b.$', 'ab\r\nbc\r\nbd\nbe', ['bc', 'bd', 'be']],
    ['\\Aa', 'a\na', ['a']],
    ['a\\z', 'a\na', ['a']],
    ['(?-m)^a', 'a\na', ['a']],
    ['a.b', 'a\nb', []],
    ['(?s)a.b', 'a\nb', ['a\nb']],
    ['(?-i)a', 'Aa', ['a']],
    ['\\Qa.b\\E', 'axb a.b', ['a.b']],
    ['x{2,4}', 'xxxxxxx', ['xxxx', 'xxx']],
  ]
  for (const [source, text, expected] of cases)
    test(`${source} finds ${JSON.stringify(expected)} in ${JSON.stringify(text)}`, () => assert.deepEqual(found(source, text), expected))

  test('reads on behind a find for a thousand characters at most, to see whether it is longer', () => {
    assert.deepEqual(
      found('a(?:[^b]*b)?', `a${'-'.repeat(900)}b`).map((one) => one.length),
      [902],
    )
    assert.deepEqual(
      found('a(?:[^b]*b)?', `a${'-'.repeat(1100)}b`).map((one) => one.length),
      [1],
    )
  })

  test('with others of its detector finds what each finds alone', () =>
    fc.assert(
      fc.property(fc.array(anyPattern, { minLength: 2, maxLength: 4 }), anyText, (sources, text) => {
        const usable = [...sources, '\\Qa'].filter((source) => compilePattern(source).kind === 'pattern')
        const each = usable.flatMap((source) => [...compiled(source).find(text)])
        assert.deepEqual([...findPatterns(text, usable)], each)
        const unquoted = usable.slice(0, -1)
        assert.deepEqual(
          [...findPatterns(text, unquoted)],
          unquoted.flatMap((source) => [...compiled(source).find(text)]),
        )
      }),
      { numRuns: isLong ? 5000 : 300 },
    ))
  test('finds what it finds among others that are too large together', () => {
    // Together they would have to remember where among ten characters each a and each b stood.
    const sources = ['a[abc]{9}x', 'b[abc]{9}y']
    const letters = Array.from({ length: 60_000 }, (_, i) => 'abc'[((Math.imul(i, 0x9e37_79b1) >>> 0) >> 13) % 3])
    const text = `${letters.join('')}! bcabcabcacy`
    assert.deepEqual([...findPatterns(text, sources)], [{ from: text.length - 11, to: text.length }])
  })
})

describe('looking for a pattern', () => {
  const texts = (length: number): readonly string[] => [
    'a'.repeat(length),
    `${'a'.repeat(length)}z`,
    'ab'.repeat(length / 2),
    `x${'a'.repeat(length)}y`,
    'AZ-2012-12345 '.repeat(length / 14),
    '😀'.repeat(length / 2),
    '\r\n'.repeat(length / 2),
  ]
  const patterns = [
    'a{500}b|z',
    '(?:a?){100}b|z',
    '\\w{3,40}@',
    '(a+)+b',
    '(?s)x.*y',
    '(?s).+',
    'a(?:[^b]*b)?',
    '\\bAZ-20\\d\\d-\\d{5}\\b',
    '[^z]',
    '$\\n',
  ]
  for (const source of patterns)
    test(`${source} takes no more than three steps for each character, and a thousand and three for each find`, () => {
      for (const text of texts(100_000)) {
        const pattern = compiled(source)
        let finds = 0
        for (const _ of pattern.find(text)) if (++finds === 1000) break
        assert.ok(pattern.steps() <= 3 * text.length + 1003 * finds + 3, `${pattern.steps()} steps, ${finds} finds`)
      }
    })

  test('makes no more rows than the check has seen, whatever the text', () =>
    fc.assert(
      fc.property(anyPattern, fc.array(anyText, { minLength: 1, maxLength: 20 }), (source, all) => {
        const [checked, used] = [compilePattern(source), compilePattern(source)]
        if (checked.kind === 'wrong' || used.kind === 'wrong') return
        if (!checked.pattern.complete()) return
        for (const text of all) assert.equal([...used.pattern.find(text)].length, [...checked.pattern.find(text)].length)
        const [{ cells }, { cells: most }] = [used.pattern.size(), checked.pattern.size()]
        assert.ok(cells <= most && most <= mostOfTable.cells, `${cells} of ${most}`)
      }),
      { numRuns: isLong ? 5000 : 300 },
    ))
})

describe('the check of a pattern', () => {
  const refused: readonly (readonly [source: string, text: RegExp, hint: RegExp])[] = [
    ['x*', /matches empty text/, /a\+ for a\*/],
    ['\\b', /matches empty text/, /at least once/],
    ['^$', /matches empty text/, /at least once/],
    ['(.)\\1', /cannot be used/, /without look-around and back-references/],
    ['(?=a)b', /cannot be used/, /without look-around/],
    ['a(b', /^cannot be used: missing closing \): `a\(b`$/, /without look-around/],
    ['a{1000}b{1000}c{1000}', /is too large/, /written out/],
    ['((a{10}){10}){10}((a{10}){10}){10}((a{10}){10}){10}', /is too large/, /written out/],
    ['(?:a?){900}b', /is too large/, /repeat less/],
    ['a.{20}b', /cannot be looked for fast enough in every text/, /\.\{0,20\} for \.\{20\}/],
    ['(a|b)*a(a|b){12}', /cannot be looked for fast enough/, /or two patterns/],
    ['\\b(?:\\d[ -]?){13,19}\\b', /cannot be looked for fast enough/, /smaller number/],
  ]
  for (const [source, text, hint] of refused)
    test(`refuses ${source}`, () => {
      const { wrong } = checkPattern(source)
      assert.match(wrong?.text ?? '', text)
      assert.match(wrong?.hint ?? '', hint)
    })

  const accepted = [
    '\\bAZ-20\\d\\d-\\d{5}\\b',
    'project.{0,50}secret',
    '(?:\\d[ -]?){13,19}',
    '[A-Z]{2}\\d{2}(?: ?[A-Z0-9]{4}){3,7}',
    '(?:password|passwort)\\s*[:=]\\s*\\S{6,}',
    '[\\w.+-]+@[\\w-]+(?:\\.[\\w-]+)+',
    '(?:foo|bar)\\W+(?:\\w+\\W+){0,6}(?:qux|quux)',
    'AKIA[0-9A-Z]{16}',
    '\\pL{3,20} \\p{Lu}\\p{Ll}+',
    'a{500}b|z',
    '(?:a?){100}b|z',
    '\\w{3,40}@',
    '(?s)begin.*end',
    '-----BEGIN (?:RSA |EC )?PRIVATE KEY-----',
  ]
  for (const source of accepted) test(`accepts ${source}`, () => assert.equal(checkPattern(source).wrong, undefined))

  test('tells what it took also where there is no table', () => {
    for (const source of [
      '(?:a?){390}',
      '\\pL'.repeat(100),
      `${'\\pL'.repeat(100)}(?=`,
      '[é-\ufff0][\\x{80}-\\x{fff0}]',
      'a{1000}b{1000}c{1000}',
    ])
      assert.ok(checkPattern(source).work > 200_000, `${source} ${checkPattern(source).work}`)
    for (const source of ['\\bAZ-20\\d\\d-\\d{5}\\b', 'a*', '(?=a)'])
      assert.ok(checkPattern(source).work < 50_000, `${source} ${checkPattern(source).work}`)
  })

  test('takes so little of a simple one that a policy may have 4,000 of them', () => {
    for (const source of ['\\bcase-1234\\b', 'project number 1234', 'AZ-1234'])
      assert.ok(4000 * checkPattern(source).work < 80_000_000, `${source} ${checkPattern(source).work}`)
  })

  test('ends, however the tables of a pattern would grow', () => {
    for (const source of ['a.{20}b', '(?:a.{9}|b.{11}|c.{13})x', '.{0,100}secret.{0,100}', '(\\w+\\s){9,99}x'])
      assert.ok(checkPattern(source).work < 2 * mostOfTable.work, source)
  })
})
