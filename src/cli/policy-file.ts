/** Reads a policy from a file for a command, or ends it with 65 and every mistake. */
import { methods } from '../methods/index.ts'
import { CommandError } from '../ops/errors.ts'
import { parsePolicy } from '../routing/parse.ts'
import type { Policy } from '../routing/policy.ts'
import { describeProblem, type Problem } from '../routing/problem.ts'
import { readPolicyFile } from '../routing/store.ts'
import { printJson } from './print.ts'

/** The text of a file, or exit 65. */
export async function readPolicy(file: string): Promise<string> {
  const read = await readPolicyFile(file)
  if (read.kind === 'text') return read.text
  throw new CommandError('badData', read.problems.map((problem) => describeProblem(file, problem)).join('\n'))
}

/** The policy of a file, its tests not run. */
export const policyFromFile = async (file: string, options: { readonly json?: boolean }): Promise<Policy> =>
  policyOfText(file, await readPolicy(file), options)

/** The policy of a text that was read from `file`. */
export function policyOfText(file: string, text: string, { json }: { readonly json?: boolean }): Policy {
  const read = parsePolicy(text, methods)
  if (read.kind === 'errors') throw refused(file, read.problems, json, text)
  return read.policy
}

/** Exit 65 with every mistake and its line; as JSON on stdout too when asked. */
export function refused(file: string, problems: readonly Problem[], json: boolean | undefined, source: string): CommandError {
  if (json) printJson({ valid: false, problems })
  return new CommandError('badData', problems.map((problem) => describeProblem(file, problem, source)).join('\n'))
}
