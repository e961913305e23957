import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Attempt, Parts } from '../../../src/methods/method.ts'
import { type SmimeOptions, smime } from '../../../src/methods/smime/smime.ts'

test('the bare word is a valid step, a misspelt option is not', () => {
  assert.deepEqual(smime.options.parse({}), { trust: 'approved' })
  assert.equal(smime.options.safeParse({ trst: 'direct' }).success, false)
  assert.equal(smime.options.safeParse({ trust: 'any' }).success, false)
})

test('every recipient is unsuitable, because no certificate is known and this version cannot', async () => {
  const recipients = ['max@lab.example', 'eva@lab.example'].map((address) => ({ id: address, address, notify: [], bcc: false }))
  const answers = await smime.build({} as Parts).attempt({ recipients } as unknown as Attempt<SmimeOptions>)
  assert.deepEqual([...answers.keys()], ['max@lab.example', 'eva@lab.example'])
  assert.deepEqual(answers.get('max@lab.example')?.outcome, {
    kind: 'unsuitable',
    reason: 'no-certificate',
    text: 'no certificate is known for max@lab.example; S/MIME is not available in this version',
    evidence: {},
  })
})
