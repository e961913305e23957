/** The policy commands that concern a text: check, test, apply. */
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { methods } from '../methods/index.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { pathOf } from '../ops/settings.ts'
import { type Examined, examine, tally } from '../routing/examine.ts'
import { describeProblem, type Problem } from '../routing/problem.ts'
import { describeTests, junit, junitOfMistakes } from '../routing/report.ts'
import { schemaText } from '../routing/schema.ts'
import { historyWarnings } from '../routing/simulation.ts'
import { failures } from '../routing/store.ts'
import type { Db } from '../store/db.ts'
import { actor, type Common, command } from './command.ts'
import { policiesOf, settingsOf, withDatabase } from './open.ts'
import { policyOfText, readPolicy, refused } from './policy-file.ts'
import { addPolicyHistory } from './policy-history.ts'
import { addPolicyPreview } from './policy-preview.ts'
import { addPolicySimulate } from './policy-simulate.ts'
import { print, printJson } from './print.ts'

/** Add the commands to the program. */
export function addPolicyCommands(program: Command): void {
  const policy = program.command('policy').description('the rules: who is served how')
  command(policy, 'check <file>', 'mistakes, warnings and tests of a policy, without applying it').action(check)
  command(policy, 'test <file>', 'run the tests of a policy').option('--junit', 'print the results as JUnit XML').action(test)
  command(policy, 'apply <file>', 'put a policy in force for messages accepted from now on')
    .option('--comment <text>', 'why, for the history', '')
    .option('--dry-run', 'only say what would happen')
    .action(apply)
  command(policy, 'schema', 'print the JSON Schema of the language, for completion in editors').action(() =>
    print(schemaText(methods).trimEnd()),
  )
  addPolicyHistory(policy)
  addPolicySimulate(policy)
  addPolicyPreview(policy)
}

async function check(file: string, options: Common): Promise<void> {
  const { text, rules, proved, warnings: found } = await examined(file, options)
  const failing = failures(proved)
  if (failing.length > 0) throw refused(file, failing, options.json, text)
  const past = await pastWarnings(file, text, options)
  const warnings = [...found, ...past].sort((a, b) => a.line - b.line || a.column - b.column)
  if (options.json) return printJson({ valid: true, rules, tests: proved.length, warnings })
  warn(file, warnings, text)
  const passed = proved.length === 0 ? '' : `, ${count(proved.length, 'test')} passed`
  const warned = warnings.length === 0 ? '' : `, ${count(warnings.length, 'warning')}`
  print(`${file}: the policy is valid, ${count(rules, 'rule')}${passed}${warned}`)
}

async function test(file: string, options: Common & { junit?: boolean }): Promise<void> {
  const { proved } = await examined(file, options)
  const { passed, failed } = tally(proved)
  if (options.junit) print(junit(file, proved))
  else if (options.json) printJson({ passed, failed, tests: proved })
  else print(proved.length === 0 ? `${file}: the policy has no tests` : describeTests(file, proved))
  if (failed > 0) throw new CommandError('badData', `${count(failed, 'test')} of ${file} ${failed === 1 ? 'fails' : 'fail'}`)
}

async function apply(file: string, options: Common & { comment: string; dryRun?: boolean }): Promise<void> {
  if (options.dryRun) return check(file, options)
  const text = await readPolicy(file)
  const settings = settingsOf(options)
  await withDatabase(settings, async (db) => {
    const applied = await (await policiesOf(settings, db)).apply(text, { by: actor(), comment: options.comment })
    if (applied.kind === 'errors') throw refused(file, applied.problems, options.json, text)
    if (options.json) return printJson(applied)
    if (applied.kind === 'unchanged') return print(`nothing to do: this text is in force as revision ${applied.revision}`)
    warn(file, applied.warnings, text)
    const passed = applied.tests === 0 ? '' : ` (${count(applied.tests, 'test')} passed)`
    print(`policy revision ${applied.revision} (${applied.fingerprint}) is in force for messages accepted from now on${passed}`)
  })
}

type Text = Extract<Examined, { kind: 'examined' }> & { readonly text: string }

/** The text of a file read and its tests run, or exit 65 with every mistake. */
async function examined(file: string, options: Common & { readonly junit?: boolean }): Promise<Text> {
  const text = await readPolicy(file)
  const found = examine(text, { methods, settings: settingsOf(options), now: systemClock() })
  if (found.kind === 'errors') {
    if (options.junit) print(junitOfMistakes(file, found.problems))
    throw refused(file, found.problems, options.json && !options.junit, text)
  }
  return { ...found, text }
}

/** What the mail of the last 90 days says against it; nothing where there is no database yet, or it cannot be asked: a text can be checked anywhere. */
async function pastWarnings(file: string, text: string, options: Common): Promise<Problem[]> {
  const settings = settingsOf(options)
  if (settings.database.startsWith('sqlite:') && !existsSync(pathOf(settings.database))) return []
  const policy = policyOfText(file, text, options)
  const ask = async (db: Db) => historyWarnings(policy, { db, clock: systemClock, policies: await policiesOf(settings, db), settings })
  return withDatabase(settings, ask).catch(() => [])
}

function warn(file: string, warnings: readonly Problem[], source: string): void {
  for (const warning of warnings)
    process.stderr.write(`${describeProblem(file, { ...warning, text: `warning: ${warning.text}` }, source)}\n`)
}

const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? '' : 's'}`
