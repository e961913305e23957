/** The command policy preview: what would become of a message now. */
import { readFile, stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { createDetect } from '../detect/detect.ts'
import { parseAddress } from '../mail/address.ts'
import { type Detected, type Preview, preview } from '../monitor/preview.ts'
import { systemClock } from '../ops/clock.ts'
import { CommandError } from '../ops/errors.ts'
import { whyUnread } from '../ops/unread.ts'
import { inWords } from '../routing/remedy.ts'
import { type Common, command } from './command.ts'
import { stepLine } from './domain-text.ts'
import { policiesOf, settingsOf, withDatabase } from './open.ts'
import { policyFromFile } from './policy-file.ts'
import { plain, print, printJson } from './print.ts'

/** Add the command below `policy`. */
export function addPolicyPreview(policy: Command): void {
  command(policy, 'preview', 'what would happen to a message now, and why')
    .requiredOption('--from <address>', 'envelope sender; <> for none')
    .requiredOption('--to <address>', 'recipient')
    .option('--subject <text>', 'its subject, with its tags')
    .option('--file <message>', 'the message itself (.eml): its facts, and what detectors find in it')
    .option('--policy <file>', 'by this policy instead of the one in force')
    .option('--stored', 'go by the last daily probe of the domain, and look at nothing now')
    .action(show)
}

type Options = Common & { from: string; to: string; subject?: string; file?: string; policy?: string; stored?: boolean }

async function show(options: Options): Promise<void> {
  const { subject, file, stored, json } = options
  if (subject !== undefined && file !== undefined) throw new CommandError('usage', '--subject and --file: the message has its own subject')
  const [from, to] = [options.from === '<>' || options.from === '' ? '' : addressOf(options.from), addressOf(options.to)]
  const settings = settingsOf(options)
  const content = file === undefined ? undefined : await messageOf(file, settings['smtp.maxMessageSize'])
  const own = options.policy === undefined ? undefined : await policyFromFile(options.policy, options)
  const detect = createDetect()
  try {
    await withDatabase(settings, async (db) => {
      const policy = own ?? (await (await policiesOf(settings, db)).ensureDefault()).policy
      const watched = process.stderr.isTTY && !stored
      const onStep = (step: Parameters<typeof stepLine>[0]) => void (watched && process.stderr.write(`${stepLine(step)}\n`))
      const parts = { db, clock: systemClock, settings, policy, detect, probing: { onStep } }
      const told = await preview({ from, to, subject, content, stored }, parts)
      if (told.kind !== 'preview') throw new CommandError('unavailable', plain(told.text))
      json ? printJson(told.preview) : print(previewText(told.preview))
    })
  } finally {
    await detect.close()
  }
}

function addressOf(given: string): string {
  const address = parseAddress(given)
  if (address === undefined) throw new CommandError('badData', `${plain(given)} is no address: expected one like max@lab.example`)
  return address
}

async function messageOf(file: string, largest: number): Promise<Buffer> {
  try {
    const { size } = await stat(file)
    if (size > largest)
      throw new CommandError('badData', `${file} has ${size} bytes; a message has at most ${largest} (smtp.maxMessageSize)`)
    return await readFile(file)
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw new CommandError('badData', `${file}: it cannot be read: ${whyUnread(error)}`)
  }
}

function previewText(told: Preview): string {
  const { policy, rule, rulesLookedAt, notKnown, steps, refused, proof, domain, alsoTo, observed, detectors } = told
  const at = rule.line > 0 ? ` line ${rule.line}` : ''
  return [
    headline(told),
    `  policy   ${policy.revision > 0 ? `revision ${policy.revision}` : `${policy.fingerprint}, not applied`}, rule "${plain(rule.name)}"${at}`,
    ...rulesLookedAt.map(({ name, because }, i) => `  ${i === 0 ? 'looked ' : '       '}  ${plain(name)} (${plain(because)})`),
    ...(notKnown.length === 0 ? [] : [`  assumed  ${notKnown.join(', ')}: not known here, so the rule that asks counts as matching`]),
    `  steps    ${steps.join(', ')}`,
    ...(observed === null ? [] : [`  observes: the rule would go by ${observed.join(', ')}`]),
    ...refused.map(({ method, text }) => `  ${method.padEnd(8)} ${text}`),
    ...(proof === null ? [] : [`  proof    ${proof}`]),
    ...(alsoTo.length === 0 ? [] : [`  copies   ${alsoTo.map((address) => plain(address)).join(', ')}`]),
    `  domain   ${plain(domain.name)}: ${standing(domain)}`,
    ...(detectors === null
      ? []
      : detectors === 'unreadable'
        ? ['  found    the content could not be looked into, which counts as found']
        : detectors.flatMap(foundLines)),
  ].join('\n')
}

function headline({ from, to, method, text }: Preview): string {
  const message = `a message from ${plain(from || '<>')} to ${plain(to)}`
  if (method !== 'unknown') return `A${message.slice(1)} ${text}`
  return `What would become of ${message} ${text} (without --stored, the domain is looked at now)`
}

function standing({ posture, reason, live }: Preview['domain']): string {
  if (posture === null) return 'not probed yet'
  return `${posture}${reason === null ? '' : `, ${inWords(reason)}`}, ${live ? 'seen just now' : 'as last probed'}`
}

function foundLines({ name, count, threshold, asked, samples }: Detected): string[] {
  if (count === 0) return []
  const unused = asked ? '' : ', which no rule asks for'
  const enough = count >= threshold ? '' : `, fewer than the ${threshold} it takes`
  return [
    `  found    ${plain(name)}: ${count}${enough}${unused}`,
    ...samples.map(({ place, line, masked }) => `             ${plain(place)}, line ${line}: ${plain(masked)}`),
  ]
}
