/** What a rule may ask about, as plain values: the same for delivery, explain, tests and simulation. */
import type { MailFacts } from '../mail/facts.ts'

/**
 * The facts of one recipient of one message. Addresses are canonical (mail/address.ts); a reverse-path of '' is the null reverse-path.
 * What is undefined is not known: in a decision that was stored by an older program, or before the content was looked into.
 */
export type PlanFacts = {
  readonly reversePath: string
  readonly recipient: string
  readonly mail: Pick<MailFacts, 'headerFrom' | 'subjectTags' | 'autoSubmitted' | 'dsn' | 'encrypted'> &
    Partial<Pick<MailFacts, 'signed' | 'calendar' | 'rightsManaged' | 'forwarded'>>
  /** Bytes of the content in clear. */
  readonly size?: number
  /** Who handed it in: `authenticatedAs` is null without AUTH. */
  readonly client?: { readonly address: string; readonly authenticatedAs: string | null }
  /** Decoded values of header fields by lower-case name; a name that is missing was not looked at. */
  readonly headers?: { readonly [lowerCaseName: string]: readonly string[] }
  /** Finds by detector; a name that is missing was not looked for. `unreadable`: the content was too much to look into, and counts as found. */
  readonly detected?: { readonly [detector: string]: number } | 'unreadable'
  /** When it was accepted, milliseconds since 1970. */
  readonly at?: number
}
