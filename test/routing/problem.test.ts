import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { describeProblem, problemList, reportUnknown } from '../../src/routing/problem.ts'

describe('a problem', () => {
  const problem = { line: 2, column: 12, text: 'step "pgpp" is unknown', hint: 'did you mean "pgp"?' }

  test('is printed with file, line and column as editors understand them, and its hint', () =>
    assert.equal(describeProblem('policy.yaml', problem), 'policy.yaml:2:12: step "pgpp" is unknown\n    hint: did you mean "pgp"?'))

  test('points into the line when the text is at hand', () =>
    assert.deepEqual(describeProblem('policy.yaml', problem, 'version: 1\n deliver: [pgpp]\n').split('\n').slice(1, 3), [
      '     deliver: [pgpp]',
      '               ^',
    ]))

  test('without a place is printed without one', () =>
    assert.equal(describeProblem('policy.yaml', { line: 0, column: 0, text: 'it cannot be read' }), 'policy.yaml: it cannot be read'))

  test('quotes no line with control characters', () =>
    assert.doesNotMatch(describeProblem('policy.yaml', problem, `version: 1\n deliver: [\u001b[2J]\n`), /\u001b/))

  test('names the nearest word, and lists what is expected', () => {
    const { problems, report } = problemList()
    reportUnknown(report, { line: 1, column: 1 }, 'step', 'escorw', ['tls', 'escrow'])
    reportUnknown(report, { line: 2, column: 1 }, 'step', 'carrier-pigeon', ['tls', 'escrow'])
    assert.deepEqual(
      problems.map(({ hint }) => hint),
      ['did you mean "escrow"? expected tls or escrow', 'expected tls or escrow'],
    )
  })

  test('costs no search for the nearest word once fifty stand', () => {
    const { problems, report } = problemList()
    let asked = 0
    const words = () => {
      asked += 1
      return ['tls', 'escrow']
    }
    for (let line = 1; line <= 10_000; line++) reportUnknown(report, { line, column: 1 }, 'step', 'escorw', words)
    assert.deepEqual([problems.length, asked], [50, 50])
  })

  test('is searched no nearest word for where that takes too much, and says what is expected all the same', () => {
    const { problems, report } = problemList()
    const words = Array.from({ length: 20_000 }, (_, i) => `${'b'.repeat(50)}${i}`)
    for (let line = 1; line <= 50; line++) reportUnknown(report, { line, column: 1 }, 'group', 'c'.repeat(64), words)
    reportUnknown(report, { line: 51, column: 1 }, 'step', 'escorw', ['tls', 'escrow'])
    assert.match(problems[0]?.hint ?? '', /^expected bbb.*\(20000 in all\)$/)
  })
})
