import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exchange } from '../../src/transport/dns-exchange.ts'

const question = { name: 'lab.example', type: 'MX' } as const

for (const [what, host] of [
  ['that no route leads to', '255.255.255.255'],
  ['whose name nobody knows', 'ns.invalid'],
] as const)
  test(`a DNS server ${what} is silent, and the process lives`, async () => {
    const answer = await exchange({ host, port: 53 }, question, 1000)
    assert.equal(answer.kind, 'silent')
    // What Node reports later would end the test run as an uncaught exception.
    await new Promise((resolve) => setTimeout(resolve, 50))
  })
