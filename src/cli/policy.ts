/** The policy commands: check, apply, show. */
import type { Command } from 'commander'
import { methods } from '../methods/index.ts'
import { CommandError } from '../ops/errors.ts'
import { lint } from '../routing/lint.ts'
import { parsePolicy } from '../routing/parse.ts'
import { describeProblem, type Problem } from '../routing/problem.ts'
import { readPolicyFile } from '../routing/store.ts'
import { actor, type Common, command, later } from './command.ts'
import { policiesOf, settingsOf, withDatabase } from './open.ts'
import { print, printJson, time } from './print.ts'

/** Add the commands to the program. */
export function addPolicyCommands(program: Command): void {
  const policy = program.command('policy').description('the rules: who is served how')
  command(policy, 'check <file>', 'check a policy without applying it').action(check)
  command(policy, 'apply <file>', 'put a policy in force for messages accepted from now on')
    .option('--comment <text>', 'why, for the history', '')
    .option('--dry-run', 'only say what would happen')
    .action(apply)
  command(policy, 'show', 'print the policy in force')
    .option('--revision <n>', 'an older revision')
    .action((options: Common & { revision?: string }) => show(options))
  for (const verb of ['diff', 'history', 'rollback', 'preview', 'simulate', 'test']) later(policy, verb)
}

async function check(file: string, { json }: Common): Promise<void> {
  const text = await readPolicy(file)
  const read = parsePolicy(text, methods)
  if (read.kind === 'errors') throw refused(file, read.problems, json)
  const warnings = lint(read.policy)
  if (json) return printJson({ valid: true, rules: read.policy.rules.length, warnings })
  for (const warning of warnings) process.stderr.write(`${describeProblem(file, warning)} (warning)\n`)
  print(`${file}: the policy is valid, ${read.policy.rules.length} rules${warnings.length > 0 ? `, ${warnings.length} warnings` : ''}`)
}

async function apply(file: string, options: Common & { comment: string; dryRun?: boolean }): Promise<void> {
  const text = await readPolicy(file)
  if (options.dryRun) return check(file, options)
  const settings = settingsOf(options)
  await withDatabase(settings, async (db) => {
    const applied = await (await policiesOf(settings, db)).apply(text, { by: actor(), comment: options.comment })
    if (applied.kind === 'errors') throw refused(file, applied.problems, options.json)
    if (options.json) return printJson(applied)
    if (applied.kind === 'unchanged') return print(`nothing to do: this text is in force as revision ${applied.revision}`)
    for (const warning of applied.warnings) process.stderr.write(`${describeProblem(file, warning)} (warning)\n`)
    print(`policy revision ${applied.revision} (${applied.fingerprint}) is in force for messages accepted from now on`)
  })
}

async function show(options: Common & { revision?: string }): Promise<void> {
  const settings = settingsOf(options)
  await withDatabase(settings, async (db) => {
    const store = await policiesOf(settings, db)
    const found = options.revision === undefined ? await store.ensureDefault() : await store.at(Number(options.revision))
    if (found === undefined) throw new CommandError('badData', `there is no policy revision ${options.revision}`)
    const { revision, fingerprint, appliedAt, appliedBy, comment, text } = found
    if (options.json) return printJson({ revision, fingerprint, appliedAt, appliedBy, comment, text })
    print(
      `# revision ${revision} (${fingerprint}), applied ${time(appliedAt)} by ${appliedBy}${comment === '' ? '' : `: ${comment}`}\n${text.trimEnd()}`,
    )
  })
}

async function readPolicy(file: string): Promise<string> {
  const read = await readPolicyFile(file)
  if (read.kind === 'text') return read.text
  throw new CommandError('badData', read.problems.map(({ text }) => text).join('\n'))
}

function refused(file: string, problems: readonly Problem[], json: boolean | undefined): CommandError {
  if (json) printJson({ valid: false, problems })
  return new CommandError('badData', problems.map((problem) => describeProblem(file, problem)).join('\n'))
}
