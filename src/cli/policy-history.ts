/** The policy commands that look back: show, history, diff, rollback. */
import type { Command } from 'commander'
import { CommandError } from '../ops/errors.ts'
import { policyDiff } from '../routing/difference.ts'
import { describeProblem } from '../routing/problem.ts'
import type { PolicyStore, Revision } from '../routing/store.ts'
import { actor, type Common, command } from './command.ts'
import { policiesOf, settingsOf, withDatabase } from './open.ts'
import { plain, print, printJson, table, time } from './print.ts'

/** Add the commands below `policy`. */
export function addPolicyHistory(policy: Command): void {
  command(policy, 'show', 'print the policy in force').option('--revision <n>', 'an older revision').action(show)
  command(policy, 'history', 'every revision, who applied it, when and why').action(history)
  command(policy, 'diff <a> [b]', 'what changed between two revisions; without B, between A and the policy in force').action(diff)
  command(policy, 'rollback <n>', 'put an older revision in force again, as a new one')
    .option('--comment <text>', 'why, for the history', '')
    .option('--dry-run', 'only say what would change')
    .action(rollback)
}

const withPolicies = async (options: Common, work: (store: PolicyStore) => Promise<void>): Promise<void> => {
  const settings = settingsOf(options)
  await withDatabase(settings, async (db) => work(await policiesOf(settings, db)))
}

const show = (options: Common & { revision?: string }) =>
  withPolicies(options, async (store) => {
    const found = options.revision === undefined ? await store.ensureDefault() : await revisionOf(store, options.revision)
    const { revision, fingerprint, appliedAt, appliedBy, comment, text } = found
    if (options.json) return printJson({ revision, fingerprint, appliedAt, appliedBy, comment, text })
    print(`# revision ${revision} (${fingerprint}), applied ${time(appliedAt)} by ${appliedBy}${because(comment)}\n${text.trimEnd()}`)
  })

const history = (options: Common) =>
  withPolicies(options, async (store) => {
    const revisions = await store.history()
    if (options.json) return printJson({ revisions })
    const rows = revisions.map(({ revision, fingerprint, appliedAt, appliedBy, comment, ours }) => [
      String(revision),
      fingerprint,
      time(appliedAt),
      plain(appliedBy),
      ours ? plain(comment) : 'ALTERED in the database: its signature is not ours',
    ])
    print(table(['REVISION', 'FINGERPRINT', 'APPLIED', 'BY', 'WHY'], rows, 'no policy was applied yet'))
  })

const diff = (a: string, b: string | undefined, options: Common) =>
  withPolicies(options, async (store) => {
    const from = await revisionOf(store, a)
    const to = b === undefined ? await store.current() : await revisionOf(store, b)
    const patch = policyDiff(from, to)
    if (options.json) return printJson({ from: from.revision, to: to.revision, diff: patch })
    if (patch !== '') return print(patch)
    if (from.revision === to.revision) return print(`revision ${from.revision} is the policy in force: there is nothing to compare it with`)
    print(`revisions ${from.revision} and ${to.revision} have the same text`)
  })

const rollback = (number: string, options: Common & { comment: string; dryRun?: boolean }) =>
  withPolicies(options, async (store) => {
    const [old, current] = [await revisionOf(store, number), await store.current()]
    if (options.dryRun) {
      const patch = policyDiff(current, old)
      return options.json
        ? printJson({ from: current.revision, to: old.revision, diff: patch })
        : print(patch === '' ? 'nothing would change' : patch)
    }
    const comment = options.comment === '' ? `back to revision ${old.revision}` : options.comment
    const applied = await store.apply(old.text, { by: actor(), comment })
    if (applied.kind === 'errors') {
      if (options.json) printJson({ valid: false, problems: applied.problems })
      const problems = applied.problems.map((problem) => describeProblem(`revision ${old.revision}`, problem, old.text))
      throw new CommandError('badData', problems.join('\n'))
    }
    if (options.json) return printJson(applied)
    if (applied.kind === 'unchanged') return print(`nothing to do: this text is in force as revision ${applied.revision}`)
    print(`policy revision ${applied.revision} (${applied.fingerprint}) is in force: the text of revision ${old.revision}`)
  })

async function revisionOf(store: PolicyStore, number: string): Promise<Revision> {
  if (!/^[1-9]\d{0,8}$/.test(number))
    throw new CommandError('usage', `${JSON.stringify(number)} is no revision: expected a number, as \`policy history\` lists them`)
  const found = await store.at(Number(number))
  if (found === undefined) throw new CommandError('badData', `there is no policy revision ${number}: \`policy history\` lists them`)
  return found
}

const because = (comment: string): string => (comment === '' ? '' : `: ${comment}`)
