/** The live check of one domain: probe it, then say what the policy in force would do with mail to it. */
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import { plan } from '../routing/plan.ts'
import type { Policy } from '../routing/policy.ts'
import { type Db, sql } from '../store/db.ts'
import { type ProbeOptions, probeDomain } from '../transport/probe.ts'
import { type DomainCheck, describeCheck } from './check.ts'
import { wouldBe } from './would-be.ts'

export type CheckParts = {
  readonly settings: Settings
  readonly db: Db
  readonly clock: Clock
  readonly policy: Policy
}

export type Checked =
  | { readonly kind: 'checked'; readonly check: DomainCheck }
  /** Nothing could be found out, by a fault on our side. */
  | { readonly kind: 'no-dns' | 'local-fault'; readonly text: string }

/** Check a domain (canonical) in less than a minute; no mail is sent. Rejects only when the database fails. */
export async function checkDomain(
  domain: string,
  parts: CheckParts,
  options: Omit<ProbeOptions, 'settings' | 'clock'> = {},
): Promise<Checked> {
  const { settings, db, clock, policy } = parts
  const probed = await probeDomain(domain, { ...options, settings, clock })
  if (probed.kind !== 'probed') return probed
  const now = clock()
  const { steps } = plan(policy, plainMessage(domain, settings))
  const would = wouldBe(steps, {
    probe: probed.probe,
    settings,
    verifiedAt: await lastVerified(db, domain, now - settings['tls.ratchet']),
  })
  return { kind: 'checked', check: describeCheck(probed.probe, would, now) }
}

/** From somebody of the organisation, with nothing special about it. */
function plainMessage(domain: string, settings: Settings): Parameters<typeof plan>[1] {
  const from = `somebody@${settings['organisation.domains'][0] ?? settings.hostname}`
  return {
    reversePath: from,
    recipient: `somebody@${domain}`,
    mail: { headerFrom: from, subjectTags: [], autoSubmitted: false, dsn: false, encrypted: false },
  }
}

/** The ratchet: what deliveries have noted. */
export async function lastVerified(db: Db, domain: string, since: number): Promise<number | undefined> {
  const [row] = await db.read<{ verified_at: number }>(
    sql`SELECT verified_at FROM posture WHERE domain = ${domain} AND verified_at > ${since}`,
  )
  return row?.verified_at
}
