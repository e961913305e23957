/** Writes the results of a policy's tests for people and for build servers. */
import type { Proved } from './prove.ts'

/** One line a test, and a line that counts. */
export function describeTests(file: string, proved: readonly Proved[]): string {
  const failed = proved.filter(({ passed }) => !passed).length
  const lines = proved.map(({ line, column, name, passed, text }) =>
    passed ? `ok      ${name}` : `FAILED  ${name}\n        ${file}:${line}:${column}: ${text}`,
  )
  return [...lines, `${proved.length - failed} passed, ${failed} failed`].join('\n')
}

/** JUnit's XML as build servers read it. */
export function junit(file: string, proved: readonly Proved[]): string {
  const failed = proved.filter(({ passed }) => !passed).length
  const cases = proved.map(({ line, name, passed, text }) => {
    const open = `  <testcase classname="${xml(file)}" name="${xml(name)}" file="${xml(file)}" line="${line}"`
    return passed ? `${open}/>` : `${open}>\n    <failure message="${xml(text)}"/>\n  </testcase>`
  })
  const head = `<testsuite name="policy" tests="${proved.length}" failures="${failed}" errors="0" skipped="0">`
  return ['<?xml version="1.0" encoding="UTF-8"?>', head, ...cases, '</testsuite>'].join('\n')
}

/** XML 1.0 has no way to write control characters. */
const xml = (text: string): string =>
  text
    .replace(/[\p{Cc}]/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
