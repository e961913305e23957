/** Every conversation in this folder, played against a real door; the file's first line is the test's name. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { play } from './run.ts'

const folder = import.meta.dirname

for (const file of readdirSync(folder)
  .filter((name) => name.endsWith('.smtp'))
  .sort()) {
  const text = readFileSync(join(folder, file), 'utf8')
  test(`${text.split('\n', 1)[0]?.replace(/^# */, '')} (${file})`, () => play(text))
}
