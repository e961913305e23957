import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { methodNames, methods } from '../../src/methods/index.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { conditionWords } from '../../src/routing/conditions.ts'
import { defaultPolicyText } from '../../src/routing/default-policy.ts'
import { builtInNames } from '../../src/routing/detectors.ts'
import { lint } from '../../src/routing/lint.ts'
import { tlsWorlds, traits } from '../../src/routing/policy.ts'
import { policyOf, problemsOf } from './world.ts'

const text = readFileSync(join(packageRoot, 'docs', 'policy.md'), 'utf8')
const examples = [...text.matchAll(/```yaml\n(.*?)```/gs)].map(([, example = '']) => example)

describe('docs/policy.md', () => {
  test('has examples that are policies of this version, every one', () => {
    assert.ok(examples.length >= 4)
    for (const example of examples) policyOf(example)
  })

  test('shows the default policy as it is, and a longer example without a warning', () => {
    const meaning = (policy: string) =>
      JSON.stringify(policyOf(policy), (key, value) => (['line', 'column', 'fingerprint'].includes(key) ? undefined : value))
    assert.equal(meaning(examples[0] ?? ''), meaning(defaultPolicyText))
    assert.deepEqual(lint(policyOf(examples[1] ?? ''), 0), [])
  })

  test('names every condition, trait and step of the language', () => {
    const steps = methodNames.filter((name) => methods[name].inPolicy)
    for (const word of [...conditionWords, ...builtInNames, ...tlsWorlds, ...traits, ...steps, 'bounce'])
      assert.ok(text.includes(`\`${word}\``), word)
  })

  test('shows the very message that a mistyped step gets', () => {
    const [problem] = problemsOf(
      'version: 1\nrules:\n  - name: a\n    when: { is: dsn }\n    deliver: [tls, pgpp]\ndefault: { deliver: [tls] }\n',
    )
    assert.ok(text.includes(`policy.yaml:${problem?.line}:${problem?.column}: ${problem?.text}\n    hint: ${problem?.hint}\n`))
  })
})
