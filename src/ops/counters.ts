/** Everything that is counted for good, and by which labels: their values come from closed lists, never from mail, a peer or a person. */

/** Name, what it counts (shown as HELP), labels. The list in words: docs/metrics.md. */
export const counters = {
  letterlock_messages_accepted_total: { help: 'Messages taken from clients with a 250.', labels: [] },
  letterlock_deliveries_total: {
    help: 'Attempts at recipients of submitted mail, by the way, what was proven of the channel, and what they came to.',
    labels: ['method', 'assurance', 'result'],
  },
  letterlock_decisions_total: {
    help: 'Attempts at recipients of submitted mail, by the way and why no better one was taken.',
    labels: ['method', 'reason'],
  },
  letterlock_tls_failures_total: {
    help: 'Attempts at recipients by method tls that the channel did not serve, by reason code.',
    labels: ['reason'],
  },
  letterlock_own_mail_total: {
    help: 'Attempts at recipients of mail of our own (notices, codes, reports), by its kind and what they came to.',
    labels: ['kind', 'result'],
  },
  letterlock_codes_total: { help: 'Codes of letters: sent, and what became of tries.', labels: ['result'] },
  letterlock_link_visits_total: { help: 'What was done by links of letters: looked at, gone on, read, not me.', labels: ['kind'] },
} as const satisfies { readonly [name: string]: { readonly help: string; readonly labels: readonly string[] } }

export type CounterName = keyof typeof counters
type LabelsOf<Name extends CounterName> = { readonly [label in (typeof counters)[Name]['labels'][number]]: string }

/** So many more of one thing. */
export type Count = {
  readonly name: CounterName
  readonly labels: { readonly [label: string]: string }
  readonly by: number
}

/** One more, or `by` more, of what these labels say. */
export function counted<Name extends CounterName>(name: Name, given: LabelsOf<Name>, by = 1): Count {
  const values: { readonly [label: string]: string } = given
  const labels = Object.fromEntries(counters[name].labels.map((label) => [label, values[label] ?? '']))
  return { name, labels, by }
}

/** Whether we count under this name: a database may hold counts of a newer version. */
export const isCounter = (name: string): name is CounterName => Object.hasOwn(counters, name)
