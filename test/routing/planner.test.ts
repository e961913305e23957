import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseHeader } from '../../src/mail/header.ts'
import { decide } from '../../src/routing/planner.ts'
import { policyOf } from './world.ts'

const text = `version: 1
rules:
  - name: private
    when: { header: { Sensitivity: { contains: private } } }
    deliver: [escrow]
default:
  deliver: [tls, escrow]
`
const mail = { headerFrom: 's@org.example', subjectTags: [], autoSubmitted: false, dsn: false, encrypted: false }
const known = { reversePath: 's@org.example', recipient: 'max@lab.example', mail }
const ruleFor = async (fields: string) => {
  const asked = { header: parseHeader(Buffer.from(fields)), detect: () => assert.fail('nobody asked for it') }
  const { plan, facts } = await decide(policyOf(text), known, asked)
  return { rule: plan.rule.name, kept: facts.headers?.sensitivity ?? [] }
}

test('a field is read to its end, however often it stands there and however long it is; of its values only the first are kept', async () => {
  assert.equal((await ruleFor('Sensitivity: normal\r\n')).rule, 'default')
  const often = await ruleFor(`${'Sensitivity: normal\r\n'.repeat(40)}Sensitivity: private\r\n`)
  assert.deepEqual([often.rule, often.kept.length], ['private', 20])
  const long = await ruleFor(`Sensitivity: ${'x'.repeat(5000)}\r\n private\r\n`)
  assert.deepEqual([long.rule, long.kept[0]?.length], ['private', 2000])
})
