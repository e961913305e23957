import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { parse } from 'yaml'
import { methods } from '../../src/methods/index.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { policySchema, schemaText } from '../../src/routing/schema.ts'
import { documented } from './any-policy.ts'

const isValid = new Ajv2020({ allowUnionTypes: true, strictTypes: false }).compile(policySchema(methods))
const docs = (name: string) => readFileSync(join(packageRoot, 'docs', name), 'utf8')

describe('the JSON Schema of the language', () => {
  test('is what `npm run docs` would write now', () => assert.equal(docs('policy.schema.json'), schemaText(methods), 'run `npm run docs`'))

  test('accepts every policy that the parser accepts', () =>
    fc.assert(
      fc.property(documented, (document) =>
        assert.ok(isValid(JSON.parse(JSON.stringify(document))), JSON.stringify(isValid.errors?.slice(0, 3))),
      ),
      { numRuns: 200 },
    ))

  test('accepts every example of docs/policy.md', () => {
    for (const [, example = ''] of docs('policy.md').matchAll(/```yaml\n(.*?)```/gs))
      assert.ok(isValid(parse(example)), `${example}\n${JSON.stringify(isValid.errors)}`)
  })

  const wrong: readonly (readonly [what: string, document: object])[] = [
    ['a key that is not of the language', { version: 1, defaults: {} }],
    ['another version', { version: 2 }],
    ['a mistyped condition', { version: 1, rules: [{ name: 'a', when: { form: 'x' }, deliver: ['tls'] }] }],
    ['a mistyped step', { version: 1, default: { deliver: ['tsl'] } }],
    ['a mistyped option', { version: 1, default: { deliver: [{ tls: { levle: 'dane' } }] } }],
    ['clear text without its consent', { version: 1, default: { deliver: [{ opportunistic: {} }] } }],
    ['an override without an end', { version: 1, overrides: [{ to: 'a.example', prefer: 'pgp', reason: 'r' }] }],
  ]
  for (const [what, document] of wrong) test(`refuses ${what}`, () => assert.equal(isValid(document), false))
})
