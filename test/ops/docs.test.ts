/** The documents say what the code says, as far as a test can see. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { reasons } from '../../src/mail/outcome.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { readSettingsFile } from '../../src/ops/settings-file.ts'

const read = (path: string): string => readFileSync(join(packageRoot, path), 'utf8')
const manifest = JSON.parse(read('package.json')) as {
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly scripts: Readonly<Record<string, string>>
}
const documents = [
  'README.md',
  'SECURITY.md',
  'CHANGELOG.md',
  ...readdirSync(join(packageRoot, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

describe('docs/dependencies.md', () => {
  const named = (section: string): string[] => [...section.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? '').sort()
  const [, atRunTime = '', forDevelopment = ''] = read('docs/dependencies.md').split(/^## /m)

  test('gives a reason for each package at run time, and names no other', () => {
    assert.deepEqual(named(atRunTime), Object.keys(manifest.dependencies).sort())
  })

  test('gives a reason for each package for development, and names no other', () => {
    assert.deepEqual(named(forDevelopment), Object.keys(manifest.devDependencies).sort())
  })

  test('tells the truth that versions are exact', () => {
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
    )
    assert.deepEqual(loose, [])
  })
})

test('docs/reasons.md has a section for each reason: what happened, what we do, what you and they can do', () => {
  const sections = read('docs/reasons.md')
    .split(/^### /m)
    .slice(1)
    .map((section) => section.split(/^## /m)[0] ?? '')
  assert.deepEqual(sections.map((section) => section.split('\n')[0]).sort(), [...reasons].sort(), 'explain leads to these anchors')
  const lacking = sections.filter((section) => !/^[a-z0-9-]+\n\n\S.+\*\*Then:\*\* \S.+\n\n- You: \S.+\n- They: \S.+\n/.test(section))
  assert.deepEqual(lacking, [])
})

test('links between the documents lead somewhere', () => {
  const broken = documents.flatMap((document) =>
    [...read(document).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)]
      .map((match) => match[1] ?? '')
      .filter((target) => !existsSync(join(packageRoot, dirname(document), target)))
      .map((target) => `${document} → ${target}`),
  )
  assert.deepEqual(broken, [])
})

test('npm commands in the documents exist', () => {
  const missing = documents.flatMap((document) =>
    [...read(document).matchAll(/npm (?:run )?([a-z]+)/g)]
      .map((match) => match[1] ?? '')
      .filter((name) => !(name in manifest.scripts) && name !== 'ci' && name !== 'install' && name !== 'run')
      .map((name) => `${document}: npm ${name}`),
  )
  assert.deepEqual(missing, [])
})

test('the settings that the README shows are settings', () => {
  const examples = ['README.md', 'docs/settings.md'].flatMap((document) =>
    [...read(document).matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] ?? ''),
  )
  assert.ok(examples.length >= 2)
  for (const example of examples) assert.deepEqual(readSettingsFile('example', example).problems, [])
})
