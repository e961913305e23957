/** Prints a check of a domain for people: the answer first, then each host in columns, then what to do. */
import type { DomainCheck, HostCheck } from '../monitor/check.ts'
import { type FellBack, fellBackDays, fellBackOften } from '../monitor/fall-backs.ts'
import type { ProbeRow } from '../monitor/history.ts'
import type { Posture } from '../monitor/posture.ts'
import { inWords } from '../routing/remedy.ts'
import type { ProbeStep } from '../transport/probe.ts'
import { plain, table } from './print.ts'

/** One finished step: `  ok   certificate   12 ms  mx.lab.example: TLSv1.3, …`. */
export function stepLine({ name, host, ms, ok, result }: ProbeStep): string {
  const where = host === '' ? '' : `${host}: `
  return `  ${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(11)}  ${String(ms).padStart(6)} ms  ${plain(`${where}${result}`).slice(0, 300)}`
}

/** What a posture means, for a sentence. */
export const postureWords: { readonly [P in Posture]: string } = {
  authenticated: 'its mail host is proven to be its own, over TLS',
  verified: 'its mail host shows a trusted certificate for its name',
  encrypted: 'TLS stands, but proves nobody: it stops only those who listen',
  clear: 'no TLS that stands: mail would travel in clear',
  unreachable: 'no mail host answered',
  'no-mail': 'there is nowhere to send its mail',
  unknown: 'DNS does not say',
}

/** The whole answer; what strangers wrote cannot move the cursor. */
export function checkText(check: DomainCheck, title?: string): string {
  const { domain, posture, reason, problem, sts, mx, unusable, wouldBe, fixes } = check
  const head = `${title === undefined ? domain : `${title}, ${domain}`}: ${posture.toUpperCase()}, ${postureWords[posture]}`
  return [
    `${head}${reason === null ? '' : `; ${inWords(reason)}`}.`,
    ...(problem === null ? [] : [`  ${plain(problem)}.`]),
    ...(mx.length === 0 ? [] : ['', table(['HOST', 'ENCRYPTED', 'VERIFIED', 'AUTHENTICATED', 'DANE'], mx.map(verdictRow), '')]),
    ...mx.flatMap((host) => ['', ...hostLines(host)]),
    ...(unusable.length === 0 ? [] : ['', ...unusable.map((text) => `Not used: ${plain(text)}.`)]),
    '',
    `MTA-STS        ${plain(sts.text)}`,
    `A message now  ${wouldBe}`,
    ...(fixes.length === 0 ? ['nothing'] : fixes).map((fix, i) => `${i === 0 ? 'To repair' : ''}`.padEnd(15) + plain(fix)),
  ].join('\n')
}

const yesNo = (yes: boolean): string => (yes ? 'yes' : 'no')
const verdictRow = ({ host, verdict }: HostCheck): string[] => [
  host,
  yesNo(verdict.encrypted),
  yesNo(verdict.verified),
  yesNo(verdict.authenticated),
  yesNo(verdict.dane),
]

function hostLines({ host, preference, addresses, starttls, protocol, cipher, certificate, sts, dane, problem }: HostCheck): string[] {
  const rows: (readonly [string, string])[] = [
    ['addresses', addresses.join(', ')],
    ['STARTTLS', starttls === null ? 'not asked' : starttls ? 'offered' : 'not offered'],
    ...(protocol === null ? [] : [['protocol', `${protocol}, ${cipher ?? ''}`] as const]),
    ...(certificate === null ? [] : certificateRows(certificate)),
    ...(sts === null ? [] : [['MTA-STS', `mode ${sts.mode}, ${sts.named ? 'names this host' : 'does not name this host'}`] as const]),
    ...(dane === null
      ? []
      : [['DANE', `${dane.text}${dane.matches === null ? '' : dane.matches ? ', matches' : ', does not match'}`] as const]),
    ...(problem === null ? [] : [['problem', problem] as const]),
  ]
  return [
    `${host}${preference === null ? '' : ` (preference ${preference})`}`,
    ...rows.map(([name, value]) => `  ${name.padEnd(13)}${plain(value)}`),
  ]
}

const certificateRows = ({ names, issuer, notBefore, notAfter }: NonNullable<HostCheck['certificate']>): (readonly [string, string])[] => [
  ['certificate', `for ${names.slice(0, 5).join(', ') || 'no name'}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`],
  ['issued by', issuer],
  ['valid', `${notBefore.slice(0, 10)} to ${notAfter.slice(0, 10)}`],
]

const letters: { readonly [P in Posture]: string } = {
  authenticated: 'A',
  verified: 'V',
  encrypted: 'E',
  clear: 'C',
  unreachable: '.',
  'no-mail': '-',
  unknown: '?',
}

/** `fell back 4 times in 7 days, last because certificate expired or not yet valid (certificate-expired)`, with a sign before it where that is often; undefined: never. */
export function fellBackText({ count, reason }: FellBack): string | undefined {
  if (count === 0) return undefined
  const times = `${count} time${count === 1 ? '' : 's'}`
  return `${count >= fellBackOften ? '! ' : ''}fell back ${times} in ${fellBackDays} days, last because ${reason === null ? 'of what is not recorded' : inWords(reason)}`
}

/** A letter a probe, oldest first, with the meaning of those that occur. */
export function strip(history: readonly ProbeRow[]): string {
  const seen = [...new Set(history.map(({ posture }) => posture))]
  const from = new Date(history[0]?.at ?? 0).toISOString().slice(0, 10)
  return `  history ${history.map(({ posture }) => letters[posture]).join('')}  (${seen.map((posture) => `${letters[posture]} ${posture}`).join(', ')}; since ${from})`
}
