/** The command policy simulate: what a policy would have made of the mail of the last days. */
import type { Command } from 'commander'
import { Option } from 'commander'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import type { Simulated } from '../routing/simulate.ts'
import { runSimulation } from '../routing/simulation.ts'
import { type Common, command } from './command.ts'
import { policiesOf, settingsOf, withDatabase } from './open.ts'
import { policyFromFile } from './policy-file.ts'
import { plain, print, printJson, table } from './print.ts'
import { startProgress } from './progress.ts'

/** Add the command below `policy`. */
export function addPolicySimulate(policy: Command): void {
  command(policy, 'simulate <file>', 'what this policy would have made of past mail, and for whom that is a change')
    .option('--since <time>', 'how far to look back, such as 30d or 12h', '30d')
    .addOption(
      new Option('--against <policy>', 'compare with the policy in force now, or with the one that decided then')
        .choices(['now', 'then'])
        .default('now'),
    )
    .action(simulate)
}

async function simulate(file: string, options: Common & { since: string; against: 'now' | 'then' }): Promise<void> {
  const span = lengthOf(options.since)
  const settings = settingsOf(options)
  const next = await policyFromFile(file, options)
  await withDatabase(settings, async (db) => {
    const policies = await policiesOf(settings, db)
    const progress = startProgress('decisions')
    const asked = { since: systemClock() - span, against: options.against, onProgress: progress.show }
    const told = await runSimulation(next, { db, clock: systemClock, policies, settings }, asked).finally(progress.end)
    if (options.json) return printJson({ since: asked.since, against: asked.against, ...told })
    print(simulationText(file, options, told))
  })
}

const units = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

function lengthOf(text: string): number {
  const [, number, unit] = /^([1-9]\d{0,5})([mhd])$/.exec(text) ?? []
  if (unit === 'm' || unit === 'h' || unit === 'd') return Number(number) * units[unit]
  throw new CommandError('usage', `--since ${JSON.stringify(text)} is no length of time: write it like 30d or 12h`)
}

const mostShown = 15

function simulationText(file: string, { since, against }: { since: string; against: string }, told: Simulated): string {
  const { decisions, changed, byChange, byDomain, otherTerms, copies, peopleNewlyAsked, cannotTell } = told
  if (decisions === 0) return `no mail was decided on in the last ${since}: there is nothing to replay`
  const compared = against === 'now' ? 'the policy in force' : 'the policies that decided then'
  const blocks = [
    `${file} over ${decisions} decisions of the last ${since}, compared with ${compared}: ${headline(told)}`,
    ...(changed === 0
      ? []
      : [
          table(
            ['FROM', 'TO', 'RECIPIENTS'],
            byChange.map(({ from, to, count }) => [from, to, String(count)]),
            '',
          ),
          shortened(
            table(
              ['DOMAIN', 'CHANGED', 'OF'],
              byDomain.slice(0, mostShown).map((one) => [plain(one.domain), String(one.changed), String(one.decisions)]),
              '',
            ),
            byDomain.length,
            'domains',
          ),
        ]),
    ...(otherTerms.count === 0 ? [] : [terms(otherTerms)]),
    ...(copies.length === 0
      ? []
      : [
          table(
            ['COPIES TO', 'BEFORE', 'THEN'],
            copies.map(({ to, before, next }) => [plain(to), String(before), String(next)]),
            '',
          ),
        ]),
    newlyAsked(peopleNewlyAsked),
    ...(cannotTell.count === 0 ? [] : [untold(cannotTell)]),
  ]
  return blocks.join('\n\n')
}

function headline({ changed, otherTerms, copies }: Simulated): string {
  if (changed > 0) return changed === 1 ? '1 changes' : `${changed} change`
  return otherTerms.count === 0 && copies.length === 0 ? 'nothing changes' : 'no mail would go another way'
}

function terms({ count, terms }: Simulated['otherTerms']): string {
  const rows = terms.slice(0, mostShown).map((one) => [one.what, plain(one.from), plain(one.to), String(one.count)])
  return [`The same way, on other terms: ${count}`, '', table(['TERM', 'FROM', 'TO', 'RECIPIENTS'], rows, '')].join('\n')
}

function newlyAsked({ count, addresses }: Simulated['peopleNewlyAsked']): string {
  if (count === 0) return 'Nobody would newly be asked to read in the portal.'
  const shown = addresses.slice(0, mostShown).map((address) => `  ${plain(address)}`)
  return shortened(
    [`Newly asked to read in the portal: ${count} ${count === 1 ? 'person' : 'people'}`, ...shown].join('\n'),
    count,
    'people',
  )
}

const shortened = (text: string, all: number, what: string): string =>
  all <= mostShown ? text : `${text}\n  … and ${all - mostShown} more ${what} (--json lists up to 1000)`

function untold({ count, missing }: Simulated['cannotTell']): string {
  const lines = missing.slice(0, mostShown).map((one) => `  ${one.count} × ${plain(one.what)}`)
  return [`It cannot be told for ${count}, as this is not known of them:`, ...lines].join('\n')
}
