import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { methods } from '../../src/methods/index.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { defaultSettings } from '../../src/ops/settings.ts'
import { examine } from '../../src/routing/examine.ts'
import { policyOf } from './world.ts'

const folder = join(packageRoot, 'docs', 'examples')
const names = readdirSync(folder)
const now = Date.UTC(2026, 10, 23)

describe('docs/examples', () => {
  test('holds the policies of a hospital and a bank, and README and docs/policy.md lead there', () => {
    assert.deepEqual(names.sort(), ['bank.yaml', 'hospital.yaml'])
    for (const [page, prefix] of [
      ['README.md', 'docs/examples/'],
      ['docs/policy.md', 'examples/'],
    ] as const)
      for (const name of names) assert.ok(readFileSync(join(packageRoot, page), 'utf8').includes(`(${prefix}${name})`), `${page}: ${name}`)
  })

  for (const name of names)
    test(`${name} passes its own tests without a warning, and proves that nothing else travels in clear`, () => {
      const text = readFileSync(join(folder, name), 'utf8')
      const policy = policyOf(text)
      const examined = examine(text, { methods, settings: defaultSettings({}), now })
      if (examined.kind === 'errors') assert.fail(JSON.stringify(examined.problems))
      assert.deepEqual(
        examined.proved.filter(({ passed }) => !passed).map(({ text }) => text),
        [],
      )
      assert.deepEqual(examined.warnings, [])
      assert.ok(policy.groups.length > 0 && policy.detectors.length > 0 && policy.overrides.length > 0)
      assert.ok(policy.tests.some((one) => one.kind === 'invariant' && one.invariant === 'never-plaintext'))
    })

  test('their never-plaintext fails as soon as a rule that it covers may go in clear', () => {
    for (const name of names) {
      const text = readFileSync(join(folder, name), 'utf8')
      const clear = text.replace(
        /^ {2}deliver: \[tls, pgp, .*\]$/m,
        '  deliver: [tls, { opportunistic: { i-understand: may travel unencrypted } }]',
      )
      assert.notEqual(clear, text)
      policyOf(clear)
      const examined = examine(clear, { methods, settings: defaultSettings({}), now })
      assert.ok(
        examined.kind === 'examined' && examined.proved.some(({ passed, name: told }) => !passed && told.startsWith('never-plaintext')),
      )
    }
  })
})
