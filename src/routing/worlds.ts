/** The worlds that policy tests speak of: every manner of a recipient's side, judged by the decision table that judges real ones. Pure. */
import type { Outcome } from '../mail/outcome.ts'
import { needOf, tls } from '../methods/tls/tls.ts'
import type { Settings } from '../ops/settings.ts'
import type { Row } from '../transport/trouble.ts'
import { verdict } from '../transport/verdict.ts'
import { keyed, type Met, type Side } from './foretell.ts'
import { type Given, type TlsWorld, tlsWorlds } from './policy.ts'

export type WorldSettings = Pick<
  Settings,
  | 'retry.tls.soft'
  | 'retry.tls.ratchet'
  | 'retry.tls.enforced'
  | 'escrow.proof'
  | 'escrow.onDowngrade'
  | 'escrow.onClearPath'
  | 'organisation.domains'
>

/** Every world there is: TLS of each manner, with and without keys. */
export const allWorlds: readonly Given[] = tlsWorlds.flatMap((word) =>
  [false, true].flatMap((pgp) => [false, true].map((smime) => ({ tls: word, pgp, smime }))),
)

/** A recipient's side in that world. */
export const sideOf = ({ tls: word, pgp, smime }: Given, encrypted: boolean, settings: WorldSettings): Side => ({
  tls: (options) => meetTls(word, options, settings),
  opportunistic: () => meetOpportunistic(word, settings),
  pgp: () => keyed('pgp', pgp),
  // This version knows no certificates, whatever the world has.
  smime: () => keyed('smime', smime && false),
  encrypted,
})

/** What stands behind a word: the best level that is reached, or the trouble there is. */
const worlds: Record<TlsWorld, { readonly reached: 'encrypted' | 'verified' | 'authenticated' | 'dane' | undefined; readonly row?: Row }> =
  {
    none: { reached: undefined, row: 'starttls-not-offered' },
    broken: { reached: undefined, row: 'tls-broken' },
    untrusted: { reached: 'encrypted', row: 'not-trusted' },
    'wrong-name': { reached: 'encrypted', row: 'name-mismatch' },
    expired: { reached: 'encrypted', row: 'expired' },
    encrypted: { reached: 'encrypted', row: 'not-trusted' },
    verified: { reached: 'verified' },
    authenticated: { reached: 'authenticated' },
    dane: { reached: 'dane' },
    downgraded: { reached: undefined, row: 'starttls-not-offered' },
    unreachable: { reached: undefined, row: 'unreachable' },
  }

const levels = ['encrypted', 'verified', 'authenticated', 'dane'] as const

function meetTls(word: TlsWorld, options: object, settings: WorldSettings): Met {
  const parsed = tls.options.parse(options)
  const need = needOf(parsed)
  const { reached, row } = worlds[word]
  // A pin is met by whoever the admin pinned, trusted or not, but not by a host that shows a broken certificate.
  const asked = parsed.level === 'pinned' ? 'encrypted' : parsed.level
  const enough = reached !== undefined && levels.indexOf(reached) >= levels.indexOf(asked)
  const broken = parsed.level === 'pinned' && (word === 'untrusted' || word === 'wrong-name' || word === 'expired')
  if (enough && !broken) return { kind: 'served', assurance: parsed.level === 'pinned' ? 'pinned' : (reached ?? 'none'), clear: false }
  const patience = need.kind === 'forced' ? need.patience : undefined
  return metOf(verdict({ row: row ?? 'too-low', text: word, evidence: {} }, { ...circumstances(word, settings), need: 'forced', patience }))
}

/** An offered STARTTLS that fails is retried, never skipped; a certificate is not looked at. */
function meetOpportunistic(word: TlsWorld, settings: WorldSettings): Met {
  const { reached, row = 'unreachable' } = worlds[word]
  if (reached !== undefined) return { kind: 'served', assurance: reached, clear: false }
  if (row === 'starttls-not-offered') return { kind: 'served', assurance: 'none', clear: true }
  return metOf(verdict({ row, text: word, evidence: {} }, { ...circumstances(word, settings), need: 'clear', patience: undefined }))
}

const circumstances = (word: TlsWorld, settings: WorldSettings) => ({
  published: word === 'downgraded' ? ('ratchet' as const) : ('none' as const),
  soft: settings['retry.tls.soft'],
  ratchet: settings['retry.tls.ratchet'],
  enforced: settings['retry.tls.enforced'],
})

/** What an outcome of the transport comes to once patience has ended. */
export function metOf(outcome: Outcome): Met {
  switch (outcome.kind) {
    case 'delivered':
      return { kind: 'served', assurance: outcome.assurance, clear: false }
    case 'unsuitable':
      return { kind: 'refused', reason: outcome.reason, after: '' }
    case 'failed':
      return { kind: 'failed', reason: outcome.reason }
    case 'deferred':
      if (outcome.retry.then === 'unsuitable') return { kind: 'refused', reason: outcome.retry.as ?? outcome.reason, after: '' }
      return { kind: 'waits', reason: outcome.reason }
  }
}
