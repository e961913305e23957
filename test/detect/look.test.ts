import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { look } from '../../src/detect/look.ts'
import { findWords, wordList } from '../../src/detect/words.ts'

const builtIn = (name: string) => ({ name, words: [], patterns: [] })
const countOf = (name: string, ...texts: string[]) =>
  look(
    texts.map((text, i) => ({ place: `text ${i}`, text })),
    [builtIn(name)],
  )[0]?.count

/** Test numbers that card networks and payment services publish. */
const cards = [
  '4111 1111 1111 1111',
  '4012888888881881',
  '4222222222222',
  '5555-5555-5555-4444',
  '5105 1051 0510 5100',
  '2223 0000 4841 0010',
  '2720 9999 9999 9996',
  '3782 822463 10005',
  '371449635398431',
  '6011 1111 1111 1117',
  '6011000990139424',
  '3056 930902 5904',
  '38520000023237',
  '3530 1113 3330 0000',
  '3566002020360505',
  '6240 0086 3140 1148',
  '6759 6498 2643 8453',
  '4000 0000 0000 0000 006',
]
const notCards = [
  '4111 1111 1111 1112',
  '4111 1111 1111 111',
  '0000 0000 0000 0000',
  '1234 5678 9012 3452',
  '9999 9999 9999 9995',
  '411111111111111100000000000000000',
  '4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1',
  '41111111 1111 111x1',
  '5655 5555 5555',
]

describe('payment-card', () => {
  for (const number of cards)
    test(`finds ${number}`, () => {
      assert.equal(countOf('payment-card', `pay with ${number}, please`), 1)
      assert.equal(countOf('payment-card', number), 1)
    })
  for (const number of notCards) test(`does not find ${number}`, () => assert.equal(countOf('payment-card', `see ${number}.`), 0))
  test('finds each number once, wherever and however often it stands', () =>
    assert.equal(countOf('payment-card', `${cards[0]}\n${cards[0]}; 4111-1111-1111-1111`, `4111111111111111 and ${cards[1]}`), 2))
  test('finds a number before an expiry date and after a telephone number', () =>
    assert.equal(countOf('payment-card', 'tel 0711 1234567, 4111 1111 1111 1111 12/27'), 1))
  test('of digits in groups finds what a plain reading of ISO/IEC 7812 finds, and nothing else', () =>
    fc.assert(
      fc.property(
        fc.constantFrom('4', '51', '34', '2221', '6011', '50', '99'),
        fc.stringMatching(/^[0-9]{8,17}$/),
        fc.constantFrom('', ' ', '-'),
        fc.integer({ min: 3, max: 6 }),
        (start, more, parting, size) => {
          // The right check digit every time, and a wrong one beside it.
          for (const digit of ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
            const number = `${start}${more}${digit}`
            const written = number.match(new RegExp(`.{1,${size}}`, 'g'))?.join(parting) ?? ''
            // Where groups part it, a shorter number may stand at its end or beginning.
            if (parting === '') assert.equal(countOf('payment-card', `x ${written} x`), isPlainlyCard(number) ? 1 : 0, written)
            else if (isPlainlyCard(number)) assert.equal(countOf('payment-card', `x ${written} x`), 1, written)
          }
        },
      ),
      { numRuns: 300 },
    ))
  test('a number said two thousand times does not hide the next one', () =>
    assert.equal(countOf('payment-card', `${`${cards[0]}\n`.repeat(2000)}${cards[1]}`), 2))
  test('what is said again in the next text does not use up what is counted in it', () => {
    const numbers = Array.from({ length: 900 }, (_, i) => cardOf(String(400_000_000_000_000 + i)))
    assert.equal(countOf('payment-card', numbers.slice(0, 500).join('\n'), numbers.join('\n')), 900)
  })
})

/** Fifteen digits and the check digit that makes a card of them. */
const cardOf = (start: string): string =>
  [...'0123456789'].map((digit) => `${start}${digit}`).find((number) => isPlainlyCard(number)) ?? assert.fail(start)

/** Written to be read, not to be fast: Luhn, and the issuers of the starts that the test above makes. */
function isPlainlyCard(number: string): boolean {
  const sum = [...number].reverse().reduce((total, digit, i) => {
    const doubled = Number(digit) * (i % 2 === 1 ? 2 : 1)
    return total + (doubled > 9 ? doubled - 9 : doubled)
  }, 0)
  const issued = [/^4(?:.{12}|.{15}|.{18})$/, /^5[1-5].{14}$/, /^34.{13}$/, /^2221.{12}$/, /^6011.{12,15}$/, /^50.{11,17}$/]
  return sum % 10 === 0 && issued.some((pattern) => pattern.test(number))
}

/** Examples of the IBAN registry. */
const ibans = [
  'DE89 3704 0044 0532 0130 00',
  'DE89370400440532013000',
  'GB29 NWBK 6016 1331 9268 19',
  'FR14 2004 1010 0505 0001 3M02 606',
  'CH93 0076 2011 6238 5295 7',
  'AT61 1904 3002 3457 3201',
  'NL91 ABNA 0417 1643 00',
  'BE68 5390 0754 7034',
  'NO93 8601 1117 947',
  'MT84 MALT 0110 0001 2345 MTLC AST0 01S',
  'LC55 HEMM 0001 0001 0012 0012 0002 3015',
  'es91 2100 0418 4502 0005 1332',
]
const notIbans = [
  'DE89 3704 0044 0532 0130 01',
  'DE89 3704 0044 0532 0130',
  'XX89 3704 0044 0532 0130 00',
  'GB29 NWBK 6016 1331 9268 1',
  'ADE89 3704 0044 0532 0130 00',
]

describe('iban', () => {
  for (const number of ibans) test(`finds ${number}`, () => assert.equal(countOf('iban', `to ${number} and then`), 1))
  for (const number of notIbans) test(`does not find ${number}`, () => assert.equal(countOf('iban', `to ${number}.`), 0))
  test('one changed character is never right (MOD 97-10 finds every such error)', () =>
    fc.assert(
      fc.property(fc.constantFrom(...ibans), fc.nat(), fc.constantFrom(...'0123456789'), (number, at, digit) => {
        const bare = number.replaceAll(' ', '').toUpperCase()
        const place = 4 + (at % (bare.length - 4))
        if (!/\d/.test(bare[place] ?? '') || bare[place] === digit) return
        assert.equal(countOf('iban', `${bare.slice(0, place)}${digit}${bare.slice(place + 1)}`), 0)
      }),
    ))
  test('of any number of a country finds the one whose remainder is 1 when divided by 97, and no other', () =>
    fc.assert(
      fc.property(fc.constantFrom('MT', 'GB', 'DE', 'LC'), fc.stringMatching(/^[0-9A-Z]{28}$/), fc.boolean(), (country, tail, parted) => {
        const length = { MT: 31, GB: 22, DE: 22, LC: 32 }[country] ?? 0
        const account = tail.slice(0, length - 4)
        const digits = (text: string) => [...text].map((character) => Number.parseInt(character, 36)).join('')
        const check = String(98n - (BigInt(`${digits(account)}${digits(country)}00`) % 97n)).padStart(2, '0')
        const [right, wrong] = [`${country}${check}${account}`, `${country}${check === '55' ? '56' : '55'}${account}`]
        const written = (number: string) => (parted ? (number.match(/.{1,4}/g)?.join(' ') ?? '') : number)
        assert.equal(countOf('iban', `(${written(right)})`), 1)
        assert.equal(countOf('iban', `(${written(wrong)})`), 0)
      }),
    ))
})

describe('us-ssn', () => {
  for (const number of ['536-90-4399', '536 90 4399', '001-01-0001', '899-12-3456'])
    test(`finds ${number}`, () => assert.equal(countOf('us-ssn', `SSN: ${number}.`), 1))
  for (const number of [
    '000-12-3456',
    '666-12-3456',
    '900-12-3456',
    '987-65-4321',
    '536-00-4399',
    '536-90-0000',
    '078-05-1120',
    '219-09-9999',
    '536-90 4399',
    '1536-90-4399',
    '536-90-43991',
    '2-536-90-4399',
    '536904399',
  ])
    test(`does not find ${number}`, () => assert.equal(countOf('us-ssn', `SSN: ${number}.`), 0))
})

describe('medical-terms', () => {
  test('counts different terms, whole and in any case', () => {
    assert.equal(countOf('medical-terms', 'The DIAGNOSIS: myocardial  infarction; diagnosis. Insulin.'), 3)
    assert.equal(countOf('medical-terms', 'Im Arztbrief steht der Befund, die Diagnose und der Blutdruck.'), 3)
  })
  test('finds nothing in ordinary mail', () =>
    assert.equal(
      countOf('medical-terms', 'Dear Eva, the meeting on Tuesday is in room 4. Please bring the offer and the strokes of your pen.'),
      0,
    ))
})

describe('words and patterns of a policy', () => {
  const own = (words: string[], patterns: string[], ...texts: string[]) =>
    look(
      texts.map((text, i) => ({ place: `text ${i}`, text })),
      [{ name: 'mine', words, patterns }],
    )[0]
  test('are found whole, in any case, whatever parts the words', () => {
    assert.equal(own(['Project X', 'Projekt Ü'], [], 'PROJECT  x, project-X; projects x, projekt ü. PROJEKT U\u0308!')?.count, 4)
    assert.equal(own(['4711'], [], '4711 and 47111')?.count, 1)
  })
  test('that stand in the text and in its HTML count once', () => assert.equal(own(['Project X'], [], 'Project X', 'Project X')?.count, 1))
  test('are counted anew in each text, however often they stood in those before', () => {
    const few = Array.from({ length: 10 }, () => 'alpha '.repeat(100))
    assert.equal(own(['alpha'], [], ...few, 'alpha '.repeat(500))?.count, 500)
  })
  test('of phrases that overlap the one that ends first is found', () => {
    assert.deepEqual(findWords('a b a b c', wordList(['a b c', 'b a'])), [{ from: 2, to: 5 }])
    assert.deepEqual(findWords('x a b', wordList(['a b', 'b'])), [{ from: 2, to: 5 }])
  })
  test('agree with a search that tries every phrase at every place', () =>
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 }),
        fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 }),
        (phrases, words) => {
          const found = findWords(words.join(' '), wordList(phrases.map((phrase) => phrase.join(' ')))).length > 0
          const expected = phrases.some((phrase) => ` ${words.join(' ')} `.includes(` ${phrase.join(' ')} `))
          assert.equal(found, expected)
        },
      ),
    ))
  test('by pattern take no more time than the text is long', () => {
    assert.equal(own([], ['(a+)+$', '\\bAZ-\\d{4}\\b'], `${'a'.repeat(100_000)}! AZ-1234`)?.count, 1)
  })
  test('are found on the line where they stand, be they words or patterns', () =>
    assert.deepEqual(
      own(['omega', 'alpha'], ['case-\\d+'], 'alpha case-1\n\nomega\ncase-2')?.samples.map(({ line }) => line),
      [1, 3, 1, 4],
    ))
  test('are shown masked, with their place and line', () => {
    const [card] = look([{ place: 'text', text: `Hello\n${cards[0]}` }], [builtIn('payment-card')])
    assert.deepEqual(card?.samples, [{ place: 'text', line: 2, masked: '•••• •••• •••• 1111' }])
    const [account] = look([{ place: 'subject', text: `${ibans[0]}` }], [builtIn('iban')])
    assert.deepEqual(account?.samples, [{ place: 'subject', line: 1, masked: 'DE•• •••• •••• •••• ••30 00' }])
    assert.equal(own([], ['case-\\d+'], 'case-123456')?.samples[0]?.masked, 'ca•••••••56')
  })
})
