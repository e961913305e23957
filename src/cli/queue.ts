/** The queue commands: what waits, and what an operator may do to it. */
import { type Command, Option } from 'commander'
import { findMessages, listQueue, type QueueTrace, queuedOf, shownQueue } from '../delivery/trace.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { operate, type QueueAction, type QueueChoice } from '../spool/queue.ts'
import type { Db } from '../store/db.ts'
import { actor, type Common, command } from './command.ts'
import { settingsOf, withDatabase } from './open.ts'
import { plain, print, printJson, table, time } from './print.ts'

type Choice = Common & { readonly domain?: string; readonly reason?: string; readonly comment?: string; readonly dryRun?: boolean }

/** Add the commands to the program. */
export function addQueueCommands(program: Command): void {
  const queue = program.command('queue').description('what waits, and what to do about it')
  command(queue, 'list', 'everything that waits or is held, next due first')
    .option('--domain <domain>', 'only this destination')
    .option('--held', 'only what is held, with the rule and those who may release it')
    .action(list)
  command(queue, 'show <id>', 'one waiting recipient, or all of a message').action(show)
  add(queue, 'retry', 'try now instead of at the next time')
  add(queue, 'hold', 'keep from being tried until released')
  add(queue, 'release', 'try held mail again, or let it go on where a rule held it')
  add(queue, 'bounce', 'return to the sender with a report')
}

const done: { readonly [A in QueueAction]: string } = {
  retry: 'is tried now',
  hold: 'is held',
  release: 'is released',
  bounce: 'is returned to its sender',
}

function add(queue: Command, action: QueueAction, description: string): void {
  command(queue, `${action} [id]`, `${description}; ID is a recipient's id as in \`queue list\`, or a message's`)
    .addOption(new Option('--domain <domain>', 'everything for this destination'))
    .addOption(new Option('--reason <code>', 'everything that waits or is held with this reason code'))
    .option('--comment <text>', 'why, for the audit')
    .option('--dry-run', 'only say what would happen')
    .action((id: string | undefined, options: Choice) => act(action, id, options))
}

async function list(options: Common & { domain?: string; held?: boolean }): Promise<void> {
  await withDatabase(settingsOf(options), async (db) => {
    const limit = 10_000
    const found = await listQueue(db, {
      ...{ domain: options.domain?.toLowerCase(), state: options.held ? ('held' as const) : undefined },
      limit: limit + 1,
    })
    const queue = found.slice(0, limit)
    if (found.length > limit) process.stderr.write(`more than ${limit} wait: shown are those that are due next; ask for one --domain\n`)
    if (options.json) return printJson({ queue: shownQueue(queue) })
    if (options.held) return printHeld(queue)
    const rows = queue.map((one) => [
      one.id,
      one.kind,
      plain(one.to),
      one.state,
      String(one.attempts),
      next(one),
      one.reason ?? '-',
      plain(one.lastReply ?? 'not tried yet'),
    ])
    print(table(['ID', 'KIND', 'TO', 'STATE', 'TRIED', 'NEXT', 'REASON', 'LAST ANSWER'], rows, 'Nothing waits.'))
  })
}

function printHeld(queue: readonly QueueTrace[]): void {
  const rows = queue.map((one) => [
    one.id,
    plain(one.to),
    one.reason ?? '-',
    plain(one.rule ?? '-'),
    one.approvers.map(plain).join(', ') || '-',
  ])
  print(table(['ID', 'TO', 'REASON', 'RULE', 'MAY RELEASE'], rows, 'Nothing is held.'))
}

async function show(id: string, options: Common): Promise<void> {
  await withDatabase(settingsOf(options), async (db) => {
    const found = await queuedOf(db, id)
    if (found.length === 0) throw await notWaiting(db, id)
    if (options.json) return printJson({ queue: shownQueue(found) })
    print(found.map(describe).join('\n\n'))
  })
}

const next = ({ state, nextAttemptAt }: QueueTrace): string => (state === 'held' ? 'when released' : time(nextAttemptAt))

const describe = (one: QueueTrace): string =>
  [
    `${one.id}  ${one.kind} to ${plain(one.to)}: ${one.state}`,
    `  tried ${one.attempts} times, next ${next(one)}`,
    `  reason ${one.reason ?? '-'}: ${plain(one.lastReply ?? 'not tried yet')}`,
    ...(one.rule === null
      ? []
      : [`  rule "${plain(one.rule)}"${one.approvers.length === 0 ? '' : `, may be released by ${one.approvers.map(plain).join(', ')}`}`]),
  ].join('\n')

async function act(action: QueueAction, id: string | undefined, options: Choice): Promise<void> {
  const { dryRun = false, comment, json } = options
  const choice = chosen(id, options)
  if (choice === undefined)
    throw new CommandError('usage', `say which: \`letterlock queue ${action} ID\`, \`--domain DOMAIN\` or \`--reason CODE\``)
  await withDatabase(settingsOf(options), async (db) => {
    const result = await operate(db, action, choice, { actor: actor(), now: systemClock(), dryRun, comment })
    if (result.changed.length === 0 && result.left.length === 0)
      throw choice.kind === 'id' ? await notWaiting(db, choice.id) : new CommandError('badData', nothing(choice))
    if (json) return printJson(result)
    for (const one of result.changed) print(`${one} ${dryRun ? 'would be chosen' : done[action]}`)
    for (const one of result.left) print(`${one} is left as it is: ${await whyLeft(db, action, one)}`)
    if (result.changed.length === 0) throw new CommandError('tryLater', 'nothing was changed')
  })
}

/** `release --domain` leaves alone what a rule holds: each is to be looked at. */
async function whyLeft(db: Db, action: QueueAction, id: string): Promise<string> {
  const [one] = await queuedOf(db, id)
  if (action === 'release' && one?.state === 'held' && one.reason === 'held-by-rule')
    return `a rule holds it; look at it, then: letterlock queue release ${id}`
  return 'it is being attempted at this moment, or its state does not fit; see `letterlock queue list`'
}

/** One of the three ways to say which, and no more. */
function chosen(id: string | undefined, { domain, reason }: Choice): QueueChoice | undefined {
  if ([id, domain, reason].filter((one) => one !== undefined).length !== 1) return undefined
  if (domain !== undefined) return { kind: 'domain', domain: domain.toLowerCase() }
  return reason !== undefined ? { kind: 'reason', reason } : { kind: 'id', id: id ?? '' }
}

const nothing = (choice: Exclude<QueueChoice, { kind: 'id' }>): string =>
  choice.kind === 'domain' ? `nothing waits for ${choice.domain}` : `nothing waits or is held with the reason ${choice.reason}`

async function notWaiting(db: Parameters<typeof findMessages>[0], id: string): Promise<CommandError> {
  const [message] = await findMessages(db, id.replace(/-\d+$/, ''))
  if (message === undefined) return new CommandError('badData', `nothing ${id} waits; \`letterlock queue list\` shows what does`)
  return new CommandError(
    'badData',
    `${id} does not wait any more: ${message.recipients.map(({ to, state }) => `${to} ${state}`).join(', ')}`,
  )
}
