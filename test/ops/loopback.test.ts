/** Which hosts are this very machine. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLoopbackHost, isLoopbackUrl } from '../../src/ops/loopback.ts'

for (const host of ['localhost', 'post.localhost', 'LOCALHOST', '127.0.0.1', '127.9.9.9', '::1', '[::1]', '::ffff:127.0.0.1'])
  test(`${host} is this machine`, () => assert.ok(isLoopbackHost(host)))
for (const host of ['localhost.example', '10.0.0.1', '0.0.0.0', '::', '128.0.0.1', 'notlocalhost'])
  test(`${host} is not this machine`, () => assert.ok(!isLoopbackHost(host)))

test('the host of a URL is judged', () => {
  assert.ok(isLoopbackUrl('http://[::1]:8080'))
  assert.ok(!isLoopbackUrl('http://localhost.example:8080'))
})
