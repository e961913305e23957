import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { methods } from '../../src/methods/index.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { examine } from '../../src/routing/examine.ts'
import { createExaminer, type Examiner } from '../../src/routing/examiner.ts'
import { parsePolicy } from '../../src/routing/parse.ts'

const settings = defaultSettings({})
const clock = () => Date.UTC(2026, 10, 23)
const open: Examiner[] = []
const examiner = (limits = {}) => {
  const made = createExaminer({ methods, settings, clock }, limits)
  open.push(made)
  return made
}
after(() => Promise.all(open.map((one) => one.close())))

const policy = (rules: number, tests: number) =>
  [
    'version: 1\nrules:',
    ...Array.from({ length: rules }, (_, i) => `  - { name: r${i}, when: { to: d${i}.example }, deliver: [tls, escrow] }`),
    'default: { deliver: [tls, escrow] }\ntests:',
    ...Array.from(
      { length: tests },
      (_, i) => `  - { from: a@org.example, to: b@d${i % rules}.example, given: { tls: none }, expect: escrow }`,
    ),
    '  - { invariant: never-plaintext }\n',
  ].join('\n')

describe('createExaminer', () => {
  test('says of a large policy what is said of it here, and lets other work go on meanwhile', async () => {
    const text = policy(150, 150)
    assert.ok(text.length > 8 * 1024)
    let ticks = 0
    const timer = setInterval(() => {
      ticks += 1
    }, 5)
    const examined = await examiner().examine(text)
    clearInterval(timer)
    assert.deepEqual(examined, examine(text, { methods, settings, now: clock() }))
    assert.ok(ticks > 5, `${ticks} ticks`)
  })

  test('reads a large policy as it is read here, and lets other work go on meanwhile', async () => {
    const text = policy(2000, 10)
      .replace('rules:', 'groups: { g: [a.example, b.example] }\nrules:')
      .replaceAll('to: d7', 'to: group:g, from: d7')
    let [last, longest] = [performance.now(), 0]
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 5)
    const started = performance.now()
    const read = await examiner().read(text)
    const took = performance.now() - started
    clearInterval(timer)
    assert.deepEqual(read, parsePolicy(text, methods))
    assert.ok(longest < took / 2, `${longest} of ${took} ms without a turn`)
    assert.equal((await examiner().read('x'.repeat(5_000_000))).kind, 'errors')
  })

  test('looks at a small policy here, but not where its patterns or overrides may take seconds', async () => {
    const { examine: ask, read } = examiner({ time: 1 })
    const head = 'version: 1\ndefault: { deliver: [tls, escrow] }\n'
    assert.equal((await ask(head)).kind, 'examined')
    const costly = [
      'detectors: { d: { patterns: ["(?:a?){390}b"] } }\n',
      'detectors: { d: { "pattern\\x73": ["(?:a?){390}b"] } }\n',
      'overrides: [{ to: d.example, reason: r, until: 2027-01-01, tls: { patience: 1h } }]\n',
    ]
    for (const more of costly)
      for (const asked of [await ask(head + more), await read(head + more)]) {
        assert.ok(asked.kind === 'errors', more)
        assert.match(asked.problems[0]?.text ?? '', /takes more time/)
      }
  })

  test('ends a policy that takes too long, says so, and examines the next', async () => {
    const { examine: ask } = examiner({ time: 300 })
    const ended = await ask(policy(1500, 1700))
    assert.ok(ended.kind === 'errors')
    assert.match(ended.problems[0]?.text ?? '', /takes more time/)
    assert.equal((await ask('version: 1\ndefault: { deliver: [tls] }\n')).kind, 'examined')
  })

  test('refuses more than may wait', async () => {
    const { examine: ask } = examiner({ time: 300, waiting: 1 })
    const kinds = await Promise.all(Array.from({ length: 4 }, () => ask(policy(1500, 1700))))
    const texts = kinds.map((one) => (one.kind === 'errors' ? one.problems[0]?.text : one.kind))
    assert.equal(texts.filter((one) => one?.includes('too many policies')).length, 2)
  })
})
