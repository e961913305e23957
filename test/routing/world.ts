/** Small words for routing tests: a policy from its text, the facts of one mail. */
import assert from 'node:assert/strict'
import { methods } from '../../src/methods/index.ts'
import type { PlanFacts } from '../../src/routing/facts.ts'
import { parsePolicy } from '../../src/routing/parse.ts'
import type { Policy } from '../../src/routing/policy.ts'
import { describeProblem, type Problem } from '../../src/routing/problem.ts'

/** The policy of a text that has no mistakes. */
export function policyOf(text: string): Policy {
  const parsed = parsePolicy(text, methods)
  assert.equal(
    parsed.kind,
    'policy',
    parsed.kind === 'errors' ? parsed.problems.map((problem) => describeProblem('policy', problem)).join('\n') : '',
  )
  assert.ok(parsed.kind === 'policy')
  return parsed.policy
}

/** The mistakes of a text that has some. */
export function problemsOf(text: string): readonly Problem[] {
  const parsed = parsePolicy(text, methods)
  assert.ok(parsed.kind === 'errors', 'the text was read without a complaint')
  return parsed.problems
}

/** Ordinary mail from ann@org.example to max@lab.example, but for what is given. */
export function factsOf({
  reversePath = 'ann@org.example',
  recipient = 'max@lab.example',
  size,
  client,
  headers,
  detected,
  at,
  ...mail
}: Partial<Omit<PlanFacts, 'mail'>> & Partial<PlanFacts['mail']> = {}): PlanFacts {
  const known = { size, client, headers, detected, at }
  return {
    reversePath,
    recipient,
    ...Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)),
    mail: { headerFrom: 'ann@org.example', subjectTags: [], autoSubmitted: false, dsn: false, encrypted: false, ...mail },
  }
}
