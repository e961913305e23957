/** Prints an explanation for people: the answer first, then the rule, the steps in columns, and what would have changed it. */
import { domainOf } from '../mail/address.ts'
import type { StepResult } from '../mail/plan.ts'
import type { Explanation } from './explain.ts'
import { bounce } from './policy.ts'
import { oneOf } from './problem.ts'
import { refusal } from './remedy.ts'

/** Lines of at most `width` columns, no line end after the last, without colour; what a remote host said cannot move the cursor. */
export function explanationText(explanation: Explanation, width = 100): string {
  const { steps, wouldBe, to } = explanation
  return [
    ...wrapped(headline(explanation), width, ''),
    ...wrapped(decidedBy(explanation), width, '  ', '    '),
    ...wrapped(looked(explanation), width, '  ', '    '),
    ...stepLines(explanation, width),
    ...(explanation.observed ? wrapped(observedText(explanation.observed, to), width, '  ', '    ') : []),
    ...wouldBe.flatMap((would) => wrapped(`Would be ${title(would.method)} if: ${would.if}.`, width, '  ', '    ')),
    ...wrapped(pages(steps), width, '  ', '    '),
  ]
    .map((line) => line.trimEnd())
    .join('\n')
}

function headline(explanation: Explanation): string {
  const { outcome, method, to, steps, nextAttemptAt, attempts } = explanation
  const refused = becauseOf(explanation)
  const last = steps.findLast(({ result }) => result !== 'not-tried' && result !== 'unsuitable')
  const said = last === undefined || last.text === '' ? '' : `: ${last.text}`
  if (outcome === 'waiting') {
    const next = nextAttemptAt === null ? '' : `; next attempt ${time(nextAttemptAt)}`
    return attempts === 0 ? `WAITING for ${to}: nothing was tried yet${next}.` : `WAITING for ${to}${said}${next}.`
  }
  if (outcome === 'held') return `HELD for ${to}${said}.`
  // What an operator returns, no rule and no refusal has returned.
  if (outcome === 'bounced' && (last?.method !== bounce.method || last.reason === 'returned-by-operator'))
    return `BOUNCED for ${to}${said}.`
  const letter = letterWords[outcome] === undefined ? '' : ` (${letterWords[outcome]})`
  return `${outcome === 'bounced' ? 'BOUNCED' : title(method ?? outcome)} for ${to}${letter}, because ${refused}.`
}

const letterWords: { readonly [outcome: string]: string | undefined } = {
  'letter-waiting': 'its notice is on the way',
  'letter-notified': 'not opened yet',
  'letter-read': 'opened and read',
  'letter-expired': 'past its date',
  'letter-recalled': 'recalled by its sender',
  'letter-superseded': 'replaced by a newer link',
}

/** The refusals before the step that served; without any, the rule itself is the reason. */
function becauseOf({ steps, to, rule, outcome, observed }: Explanation): string {
  if (observed !== undefined && outcome !== 'bounced') return `rule "${rule.name}" only observes`
  const refused = steps.filter(({ result, reason }) => result === 'unsuitable' && reason !== 'held-by-rule')
  if (refused.length === 0)
    return rule.line === 0 ? 'it is mail of this gateway' : `rule "${rule.name}" ${outcome === 'bounced' ? 'says so' : 'asks for it first'}`
  const reasons = new Set(refused.map(({ reason }) => reason))
  const nothingKnown = reasons.has('no-key') && reasons.has('no-certificate')
  const single = refused.filter(({ reason }) => !(nothingKnown && (reason === 'no-key' || reason === 'no-certificate')))
  const clauses = [...new Set(single.map((step) => refusal(step, domainOf(to))))]
  return oneOf(nothingKnown ? [...clauses, 'no PGP key or certificate is known'] : clauses, 'and')
}

/** The way that the rule would take once it does more than observe. */
function observedText({ steps, would }: NonNullable<Explanation['observed']>, to: string): string {
  if (would === null) return `Only observed: would go by the first of ${steps.join(', ')} that serves.`
  const { method, assurance, proof, held, earlier } = would
  const detail = [method, assurance, proof === null ? null : `proof ${proof}`, held ? 'held until a person decides' : null]
  const clauses = earlier.map(({ method, reason }) =>
    refusal({ method, reason, result: 'unsuitable', text: '', evidence: {} }, domainOf(to)),
  )
  const because = clauses.length === 0 ? '' : `, because ${oneOf([...new Set(clauses)], 'and')}`
  const went =
    method === bounce.method ? 'would be returned to its sender' : `would go by ${detail.filter((word) => word !== null).join(', ')}`
  return `Only observed: ${method === 'wait' ? 'would wait and be tried again' : went}${because}.`
}

const decidedBy = ({ policy, rule }: Explanation): string =>
  rule.name === ''
    ? `policy revision ${policy.revision}, no rule asked yet`
    : `policy ${policy.fingerprint === '' ? '' : `${policy.fingerprint}, `}revision ${policy.revision}, rule "${rule.name}"${rule.line > 0 ? ` line ${rule.line}` : ''}`

const looked = ({ rulesLookedAt }: Explanation): string =>
  rulesLookedAt.length === 0 ? '' : `rules looked at: ${rulesLookedAt.map(({ name, because }) => `${name} (${because})`).join('; ')}`

/** Where each reason is explained. */
function pages(steps: readonly StepResult[]): string {
  const reasons = [...new Set(steps.flatMap(({ reason }) => reason ?? []))]
  return reasons.length === 0 ? '' : `see ${reasons.map((reason) => `docs/reasons.md#${reason}`).join(', ')}`
}

function stepLines({ steps, asked }: Explanation, width: number): string[] {
  const names = longest(steps.map(({ method }) => method))
  const rows = steps.map((step, index) => ({
    left: `  ${index + 1} ${step.method.padEnd(names)}${asked[index] ? `  asked ${asked[index]}` : ''}`.trimEnd(),
    text: step.text,
    word: resultWord(step),
    reason: reasonWord(step),
  }))
  const left = longest(rows.map((row) => row.left)) + 2
  const word = longest(rows.map((row) => row.word)) + 2
  const right = word + longest(rows.map((row) => row.reason))
  const middle = Math.max(24, width - left - right - 2)
  return rows.flatMap((row) => {
    const [first = '', ...more] = wrapped(row.text, middle, '')
    return [
      `${row.left.padEnd(left)}${first.padEnd(middle + 2)}${row.word.padEnd(word)}${row.reason}`,
      ...more.map((line) => `${' '.repeat(left)}${line}`),
    ]
  })
}

const longest = (words: readonly string[]): number => Math.max(0, ...words.map(({ length }) => length))

function resultWord({ method, result, reason }: StepResult): string {
  switch (result) {
    case 'delivered':
      return method === 'escrow' ? 'chosen' : 'delivered'
    case 'unsuitable':
      if (reason === 'held-by-rule') return 'released'
      return reason === 'no-key' ? 'no key' : reason === 'no-certificate' ? 'no certificate' : 'refused'
    case 'deferred':
      return reason === 'held-by-rule' ? 'held' : 'waits'
    case 'failed':
      return method === bounce.method ? 'returned' : 'failed'
    case 'not-tried':
      return 'not tried'
  }
}

const reasonWord = ({ reason }: StepResult): string => (reason === null || unsaid.includes(reason) ? '' : reason)

/** Said by the word before. */
const unsaid = ['no-key', 'no-certificate', 'held-by-rule']

const title = (method: string): string => method.toUpperCase()

/** `2026-11-03 18:00 UTC`. */
const time = (at: number): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`

/** Words on lines of at most `width` columns; a longer word is cut. */
function wrapped(text: string, width: number, first: string, indent = first): string[] {
  const lines: string[] = []
  let line = first
  for (const word of visible(text)
    .split(' ')
    .filter((word) => word !== '')
    .flatMap((word) => pieces(word, width - indent.length))) {
    const start = lines.length === 0 ? first : indent
    const fits = line === start || line.length + 1 + word.length <= width
    if (!fits) lines.push(line)
    line = line === start ? `${start}${word}` : fits ? `${line} ${word}` : `${indent}${word}`
  }
  return line === first ? lines : [...lines, line]
}

const pieces = (word: string, width: number): string[] => word.match(new RegExp(`.{1,${Math.max(8, width)}}`, 'gsu')) ?? []

/** Control characters and direction marks become a dot: a reply of a remote host is not to be trusted with a terminal. */
const visible = (text: string): string => text.replace(/[\r\n\t]+/g, ' ').replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '·')
