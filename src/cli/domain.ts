/** The domain commands: how other people's mail servers stand, now and over time. */
import type { Command } from 'commander'
import { canonicalDomain } from '../mail/address.ts'
import { checkDomain } from '../monitor/check-domain.ts'
import { type Standing, standings } from '../monitor/fall-backs.ts'
import { historyOf, lastCheck } from '../monitor/history.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError, notAvailable } from '../ops/errors.ts'
import { inWords } from '../routing/remedy.ts'
import { type Common, command } from './command.ts'
import { checkText, fellBackText, stepLine, strip } from './domain-text.ts'
import { policiesOf, settingsOf, withDatabase } from './open.ts'
import { plain, print, printJson, table, time } from './print.ts'

/** Add the commands to the program. */
export function addDomainCommands(program: Command): void {
  const domain = program.command('domain').description('how the mail servers of other domains stand')
  command(domain, 'check <domain>', 'look now, step by step: how safe mail to this domain would be, and what they could repair').action(
    check,
  )
  command(
    domain,
    'list',
    'every domain that is probed daily, because it was written to in the last 30 days, or that mail fell back for',
  ).action(list)
  command(domain, 'show <domain>', 'one of them: its history and what the last probe saw').action(show)
  domain
    .command('report', { hidden: true })
    .allowUnknownOption()
    .argument('[rest...]')
    .action(() => {
      throw notAvailable('letterlock domain report')
    })
}

async function check(given: string, options: Common): Promise<void> {
  const domain = domainOf(given)
  const settings = settingsOf(options)
  await withDatabase(settings, async (db) => {
    const { policy } = await (await policiesOf(settings, db)).ensureDefault()
    // Progress is for somebody who watches: JSON in a pipe stays alone.
    const watched = !options.json || process.stderr.isTTY
    if (watched) process.stderr.write(`Looking at ${domain} …\n`)
    const onStep = (step: Parameters<typeof stepLine>[0]) => void (watched && process.stderr.write(`${stepLine(step)}\n`))
    const checked = await checkDomain(domain, { settings, db, clock: systemClock, policy }, { onStep })
    if (checked.kind !== 'checked') throw new CommandError('unavailable', plain(checked.text))
    options.json ? printJson(checked.check) : print(checkText(checked.check))
  })
}

function domainOf(given: string): string {
  // Whoever pastes an address means its domain.
  const domain = canonicalDomain(given.slice(given.lastIndexOf('@') + 1))
  if (domain === undefined || !(domain.includes('.') || domain.startsWith('[')))
    throw new CommandError('badData', `${plain(given)} is no domain`)
  return domain
}

async function list(options: Common): Promise<void> {
  await withDatabase(settingsOf(options), async (db) => {
    const domains = await standings(db, systemClock())
    if (options.json) return printJson({ domains })
    const rows = domains.map((one) => [
      ...[one.domain, standingWords(one), time(one.since), time(one.lastProbeAt), one.reason === null ? '-' : inWords(one.reason)],
      fellBackText(one.fellBack) ?? '-',
    ])
    print(
      table(
        ['DOMAIN', 'POSTURE', 'SINCE', 'LAST PROBE', 'REASON', 'FALL-BACKS'],
        rows,
        'No domain is probed yet: the first probe comes within an hour of the first message to a domain, while the gateway serves.',
      ),
    )
  })
}

function standingWords({ posture, fallenFrom, lastPosture, lastProbeAt }: Standing): string {
  if (lastProbeAt === null) return 'not probed yet'
  const silent = lastPosture !== posture && lastPosture !== null ? `, last probe: ${lastPosture}` : ''
  if (posture === null) return lastPosture ?? 'unknown'
  return `${posture}${fallenFrom === null ? '' : `, downgraded from ${fallenFrom}`}${silent}`
}

async function show(given: string, options: Common): Promise<void> {
  const domain = domainOf(given)
  await withDatabase(settingsOf(options), async (db) => {
    const [found] = await standings(db, systemClock(), domain)
    if (found === undefined)
      throw new CommandError(
        'badData',
        `${domain} is not probed: nobody wrote to it lately; \`letterlock domain check ${domain}\` looks now`,
      )
    const [history, facts] = [await historyOf(db, domain), await lastCheck(db, domain)]
    if (options.json) return printJson({ ...found, history, facts: facts ?? null })
    const since = found.since === null ? '' : ` since ${time(found.since)}`
    const fellBack = fellBackText(found.fellBack)
    print(
      [
        `${domain}: ${standingWords(found)}${since}`,
        `  last probe ${time(found.lastProbeAt)}, next after ${time(found.nextProbeAt)}`,
        ...(fellBack === undefined ? [] : [`  ${fellBack}`]),
        ...(history.length > 0 ? [strip(history)] : []),
        ...(facts === undefined ? [] : ['', checkText(facts, `As seen on ${time(facts.at)}`)]),
      ].join('\n'),
    )
  })
}
