/** Writes the results of a policy's tests for people and for build servers. */
import { describeProblem, type Problem } from './problem.ts'
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
  return [declaration, head, ...cases, '</testsuite>'].join('\n')
}

/** A text whose tests could not be run, as a test with an error for each mistake: a build server that finds no file says nothing of why. */
export function junitOfMistakes(file: string, problems: readonly Problem[]): string {
  const cases = problems.map((problem) => {
    const open = `  <testcase classname="${xml(file)}" name="${xml(file)} can be read" file="${xml(file)}" line="${problem.line}">`
    return `${open}\n    <error message="${xml(onOneLine(file, problem))}"/>\n  </testcase>`
  })
  const head = `<testsuite name="policy" tests="${problems.length}" failures="0" errors="${problems.length}" skipped="0">`
  return [declaration, head, ...cases, '</testsuite>'].join('\n')
}

const onOneLine = (file: string, { hint, ...problem }: Problem): string =>
  `${describeProblem(file, problem)}${hint === undefined ? '' : ` (${hint})`}`

const declaration = '<?xml version="1.0" encoding="UTF-8"?>'

/** XML 1.0 has no way to write control characters. */
const xml = (text: string): string =>
  text
    .replace(/[\p{Cc}]/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
