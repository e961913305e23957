/** The commands that tell what became of mail: message, letter, explain. */
import { type Command, Option } from 'commander'
import { findMessages, listLetters, listMessages, type MessageFilter, type MessageTrace, type RecipientTrace } from '../delivery/trace.ts'
import { methodNames } from '../methods/index.ts'
import { CommandError } from '../ops/errors.ts'
import { explanationText } from '../routing/explain-text.ts'
import { readExplanations } from '../routing/explanations.ts'
import type { Db } from '../store/db.ts'
import { type Common, command, later } from './command.ts'
import { policiesOf, settingsOf, withDatabase } from './open.ts'
import { plain, print, printJson, table, time } from './print.ts'

/** Add the commands to the program. */
export function addMessageCommands(program: Command): void {
  const message = program.command('message').description('what became of messages')
  command(message, 'list', 'accepted messages, newest first')
    .option('--to <address>', 'recipient address or domain')
    .option('--from <address>', 'sender address or domain')
    .addOption(new Option('--method <method>', 'only recipients served by this method').choices([...methodNames]))
    .option('--reason <code>', 'only recipients with this reason code')
    .action((options: Common & MessageFilter) => withDatabase(settingsOf(options), (db) => list(db, options)))
  command(message, 'show <message>', 'one message and all its recipients; MESSAGE is our id or a Message-ID').action(
    (name: string, options: Common) => withDatabase(settingsOf(options), (db) => show(db, name, options)),
  )

  for (const verb of ['recall', 'extend', 'resend']) later(message, verb)

  const letter = program.command('letter').description('sealed letters')
  command(letter, 'list', 'letters, newest first').action((options: Common) =>
    withDatabase(settingsOf(options), (db) => letters(db, options)),
  )

  command(program, 'explain <message>', 'why a message went as it went; MESSAGE is our id or a Message-ID')
    .option('--to <address>', 'one recipient of it')
    .action((name: string, options: Common & { to?: string }) => {
      const settings = settingsOf(options)
      return withDatabase(settings, async (db) => explain({ db, settings, policies: await policiesOf(settings, db) }, name, options))
    })
}

async function list(db: Db, options: Common & MessageFilter): Promise<void> {
  const messages = await listMessages(db, options)
  if (options.json) return printJson({ messages })
  const rows = messages.flatMap(({ id, acceptedAt, from, recipients }) =>
    recipients.map(({ to, state, method, reason }) => [
      id,
      time(acceptedAt),
      plain(from || '<>'),
      plain(to),
      state,
      method ?? '-',
      reason ?? '-',
    ]),
  )
  print(table(['ID', 'ACCEPTED', 'FROM', 'TO', 'STATE', 'METHOD', 'REASON'], rows, 'No message was accepted yet that fits.'))
}

async function show(db: Db, name: string, { json }: Common): Promise<void> {
  const [message] = await found(db, name)
  if (message === undefined) return
  if (json) return printJson(message)
  const { id, messageId, from, headerFrom, acceptedAt, size, policyRevision, recipients } = message
  print(
    `${id}  ${plain(messageId)}\n  from ${plain(from || '<>')} (header From ${plain(headerFrom || 'none')}), accepted ${time(acceptedAt)}, ${size} bytes, policy revision ${policyRevision}`,
  )
  for (const recipient of recipients) print(`  ${describe(recipient)}`)
}

const describe = ({ to, state, method, assurance, reason, attempts, nextAttemptAt, rule, lastReply }: RecipientTrace): string =>
  [
    `${plain(to)}: ${state}`,
    ...(method === null ? [] : [`by ${method}`]),
    ...(assurance === null ? [] : [`(${assurance})`]),
    `after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`,
    ...(rule === null ? [] : [`rule "${rule}"`]),
    ...(reason === null ? [] : [`reason ${reason}`]),
    ...(nextAttemptAt === null ? [] : [`next attempt ${time(nextAttemptAt)}`]),
  ].join(', ') + (lastReply === null ? '' : `\n    ${plain(lastReply)}`)

async function letters(db: Db, { json }: Common): Promise<void> {
  const all = await listLetters(db)
  if (json) return printJson({ letters: all })
  const rows = all.map((one) => [
    one.reference,
    plain(one.from),
    plain(one.to),
    one.state,
    time(one.notifiedAt),
    time(one.readAt),
    time(one.expiresAt),
    one.proof,
  ])
  print(table(['REFERENCE', 'FROM', 'TO', 'STATE', 'NOTIFIED', 'READ', 'EXPIRES', 'PROOF'], rows, 'There are no letters.'))
}

async function explain(parts: Parameters<typeof readExplanations>[0], name: string, { json, to }: Common & { to?: string }): Promise<void> {
  const messages = await found(parts.db, name)
  const explanations = await readExplanations(parts, name, to)
  if (explanations.length === 0) {
    const recipients = messages.flatMap((message) => message.recipients.map((one) => one.to))
    throw new CommandError('badData', `${name} has no recipient ${to}; its recipients: ${recipients.join(', ')}`)
  }
  // One shape whatever the number of recipients: that of the first, and all of them beside it where there are several.
  if (json) return printJson({ ...explanations[0], ...(explanations.length > 1 && { all: explanations }) })
  print(explanations.map((explanation) => explanationText(explanation)).join('\n\n'))
}

async function found(db: Db, name: string): Promise<MessageTrace[]> {
  const messages = await findMessages(db, name)
  if (messages.length === 0)
    throw new CommandError(
      'badData',
      `no message ${name}: give our id (the reply said "queued as <id>") or the Message-ID; \`letterlock message list\` shows them`,
    )
  return messages
}
