/** What the sender's pages say, in every language. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SenderView } from '../../../src/methods/escrow/sender.ts'
import { wordsFor } from '../../../src/web/portal/messages/language.ts'
import { choicesOf } from '../../../src/web/status/words.ts'

const outside: SenderView['outside'] = {
  ...{ id: 'letter', reference: 'KJ4F-7Q2M', senderName: 'Anna', senderAddress: 'a@org.example', maskedAddress: 'm•••@lab.example' },
  ...{ createdAt: 0, expiresAt: 1e12, state: 'waiting' as const, label: 'broken-tls' as const, asks: 'code' as const },
}
const view = (handedOver: boolean): SenderView => ({
  ...{ outside, notifiedAt: null, readAt: null, handedOver, mayHandOver: true },
  notice: { lastReply: 'later', nextAttemptAt: 1 },
})

for (const lang of ['en', 'de'])
  for (const handedOver of [false, true])
    test(`each choice in ${lang} names itself where it is pressed${handedOver ? ', also when the letter was handed over' : ''}`, () => {
      const choices = choicesOf(view(handedOver), wordsFor(lang), { path: '/status/x', token: 't' })
      // WCAG 2.4.4: whoever hears only links and buttons must know which is which.
      const names = choices.map(({ link, form }) => link?.text ?? form?.button ?? '')
      assert.equal(names.length, 3)
      assert.equal(new Set(names).size, 3, names.join(' | '))
      for (const name of names) assert.match(name, /\p{L}{4}/u)
    })
