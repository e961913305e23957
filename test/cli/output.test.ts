import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { program } from '../world/program.ts'

for (const [what, args, code] of [
  ['a result', ['policy', 'schema'], 0],
  ['a complaint', ['no-such-command'], 64],
] as const)
  test(`whoever stops reading ${what} changes neither what is done nor its exit code, and sees no stack`, async () => {
    const child = spawn(process.execPath, [...program, ...args])
    let said = ''
    if (code === 0) child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    else child.stderr.destroy()
    child.stdout.destroy()
    const [ended] = await once(child, 'close')
    assert.deepEqual([ended, said], [code, ''])
  })
