/** How a policy may write tls and opportunistic, and what the transport is then asked for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { opportunistic } from '../../src/methods/opportunistic/opportunistic.ts'
import { needOf, tls } from '../../src/methods/tls/tls.ts'

const need = (options: unknown) => needOf(tls.options.parse(options))
const hex = 'ab'.repeat(32)

test('the bare word asks for verified', () => {
  assert.deepEqual(need({}), { kind: 'forced', level: 'verified' })
})

test('options are read, and a parsed value parses to itself', () => {
  const options = {
    level: 'pinned',
    patience: '4h',
    pin: [`sha256/${Buffer.from(hex, 'hex').toString('base64')}`, 'MX.Example.org'],
    min: 1.3,
  }
  const parsed = tls.options.parse(options)
  assert.deepEqual(tls.options.parse(JSON.parse(JSON.stringify(parsed))), parsed)
  assert.deepEqual(needOf(parsed), {
    kind: 'forced',
    level: 'pinned',
    min: 'TLSv1.3',
    pin: [hex, 'mx.example.org'],
    patience: 4 * 60 * 60_000,
  })
})

test('what makes no sense is an error', () => {
  for (const bad of [
    { level: 'safe' },
    { patience: 4 },
    { patience: '4' },
    { level: 'pinned' },
    { level: 'pinned', pin: ['mx.example.org'] },
    { pin: ['?'] },
    { min: 1.1 },
    { levl: 'verified' },
  ])
    assert.equal(tls.options.safeParse(bad).success, false, JSON.stringify(bad))
})

test('clear text in a policy needs the words', () => {
  assert.equal(opportunistic.options.safeParse({ 'i-understand': 'may travel unencrypted' }).success, true)
  assert.equal(opportunistic.options.safeParse({ notice: true, code: true }).success, true)
  for (const bad of [{}, { 'i-understand': 'yes' }, { code: true }, { 'i-understand': 'no', notice: true }]) {
    const read = opportunistic.options.safeParse(bad)
    assert.equal(read.success, false)
    assert.match(read.error?.issues[0]?.message ?? '', /i-understand: may travel unencrypted/)
  }
})
