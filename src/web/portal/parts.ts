/** What every page of the portal is made from. */
import type { Logger } from 'pino'
import type { LetterOutside, Vault } from '../../methods/escrow/vault.ts'
import type { Clock } from '../../ops/clock.ts'
import type { Settings } from '../../ops/settings.ts'
import type { Answers } from './answers.ts'
import type { Cookies } from './cookies.ts'
import type { Failures } from './gate.ts'
import { visible } from './reading/file-name.ts'
import type { Reader } from './reading/reader.ts'
import type { Views } from './views.ts'

/** Given by main.ts. */
export type Given = { readonly settings: Settings; readonly vault: Vault; readonly clock: Clock; readonly log: Logger }

export type Parts = Given & {
  readonly answers: Answers
  readonly views: Views
  readonly cookies: Cookies
  /** Those of senders. */
  readonly statusCookies: Cookies
  readonly failures: Failures
  readonly reader: Reader
}

/** Who wrote, as pages show it: the name, else the address; both came from outside. */
export function senderOf(outside: LetterOutside): { sender: string; senderAddress: string } {
  const senderAddress = visible(outside.senderAddress, 320)
  return { sender: visible(outside.senderName, 120) || senderAddress, senderAddress }
}

/** The host that people may type to check that this is real. */
export const hostOf = (settings: Pick<Settings, 'portal.url'>): string => new URL(settings['portal.url']).host

/** The letterhead. */
export const organisationOf = (settings: Pick<Settings, 'organisation.name' | 'portal.url'>): string =>
  visible(settings['organisation.name'], 120) || hostOf(settings)
