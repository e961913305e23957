/** One attempt at one domain: candidate after candidate until every recipient has an answer. */
import type { Logger } from 'pino'
import type { Evidence, Outcome } from '../mail/outcome.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { Deadlines } from './deadlines.ts'
import type { Destinations } from './destinations.ts'
import type { Resolver } from './dns.ts'
import { type Candidate, type NextHop, nextHop, routeOf } from './next-hop.ts'
import { carry, type Pool } from './pool.ts'
import { channelEvidence, type Opened, openSession, type SessionParts, type SessionView } from './session.ts'
import { type Aim, boundByDane, type ChannelNeed, channelNeed, handshakeMinimum, hopeless, hopelessAt, mayBeClear } from './tls-need.ts'
import type { Settled } from './transaction.ts'
import type { Shipment } from './transport.ts'
import { isTlsTrouble, mostHopeful, type Trouble } from './trouble.ts'
import type { Trust } from './trust.ts'
import { type Circumstances, verdict } from './verdict.ts'

export type AttemptParts = {
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Logger
  readonly resolver: Resolver
  /** Rejects when the CA store cannot be read. */
  readonly trust: () => Promise<Trust>
  readonly deadlines: Deadlines
  readonly pool: Pool
  readonly destinations: Destinations
}

/** Ship to a domain: an outcome for every recipient id, whatever peers and DNS do. */
export async function deliverTo(shipment: Shipment, parts: AttemptParts, signal: AbortSignal): Promise<ReadonlyMap<string, Outcome>> {
  const { settings, log } = parts
  const { domain } = shipment
  const need = channelNeed(shipment.need, routeOf(domain, settings), isOwnRoute(domain, settings))
  const circumstances: Circumstances = {
    published: 'none',
    need: need.kind === 'forced' ? 'forced' : 'clear',
    soft: settings['retry.tls.soft'],
    ratchet: settings['retry.tls.ratchet'],
    enforced: settings['retry.tls.enforced'],
    patience: need.kind === 'forced' ? need.patience : undefined,
  }
  const down = shipment.recipients.some(({ insist }) => insist) ? undefined : parts.destinations.down(domain)
  const run = down ? { settled: new Map<string, Met>(), troubles: [down] } : await walkCandidates(shipment, need, parts, signal)
  const answers = [...run.settled.values()].map(({ settled }) => settled)
  if (!down && !signal.aborted) parts.destinations.learn(domain, { settled: answers, troubles: run.troubles })
  const outcomes = new Map(shipment.recipients.map(({ id }) => [id, outcomeOf(run, id, circumstances)]))
  log.debug({ domain, troubles: run.troubles.map(({ row }) => row), outcomes: [...outcomes.values()].map(({ kind }) => kind) }, 'attempted')
  return outcomes
}

// The smarthost's route "*" is nobody's own: there the rule's need holds as well.
const isOwnRoute = (domain: string, settings: Settings) =>
  settings['organisation.domains'].includes(domain) && Object.hasOwn(settings['delivery.routes'], domain)

/** What an attempt came to, before it is judged. */
type Run = { readonly settled: ReadonlyMap<string, Met>; readonly troubles: readonly Trouble[] }
/** A recipient's answer and the session it was given in. */
type Met = { readonly settled: Settled; readonly session: SessionView; readonly ms: number }

async function walkCandidates<N extends ChannelNeed>(shipment: Shipment, need: N, parts: AttemptParts, signal: AbortSignal): Promise<Run> {
  const settled = new Map<string, Met>()
  const trust = await parts.trust().catch((error: Error) => error)
  if (trust instanceof Error) {
    parts.log.error({ error: trust.message }, 'the certificate authorities cannot be read: all mail waits')
    return {
      settled,
      troubles: [{ row: 'local-fault', text: `our list of certificate authorities cannot be read (${trust.message})`, evidence: {} }],
    }
  }
  const hop = await nextHop(shipment.domain, parts)
  const troubles = troublesOfHop(hop)
  if (hop.kind === 'none') return { settled, troubles }
  const without = hopeless(need, hop.source, shipment.domain)
  if (without !== undefined) return { settled, troubles: [{ row: 'too-low', text: without, evidence: {} }] }

  const sessions = { ...sessionParts(parts, trust, signal), domain: shipment.domain, source: hop.source }
  for (const [i, candidate] of hop.candidates.entries()) {
    const rest = shipment.recipients.filter(({ id }) => !settled.has(id))
    if (rest.length === 0 || signal.aborted) break
    const aim = { ...sessions, dane: hop.dane.get(candidate.host) }
    const without = hopelessAt(need, candidate.host, aim)
    if (without !== undefined) {
      troubles.push({ row: 'too-low', text: without, evidence: candidate })
      continue
    }
    const open = () => openSomehow(candidate, need, i === hop.candidates.length - 1, aim)
    const carried = await carry({ ...shipment, need: need.kind, recipients: rest }, candidate, need, aim, open, { ...parts, signal })
    if (carried.kind === 'trouble') {
      const published = boundByDane(carried.trouble.row, aim)
      troubles.push({ ...carried.trouble, ...(published && { published }) })
      continue
    }
    const { session, done, ms } = carried
    for (const [id, one] of done.settled) settled.set(id, { settled: one, session, ms })
    if (done.trouble) troubles.push(done.trouble)
  }
  if (signal.aborted) troubles.push({ row: 'connection-lost', text: 'the attempt was stopped because the gateway stops', evidence: {} })
  return { settled, troubles }
}

/** Why there is nowhere to go, or which hosts may yet be found. */
function troublesOfHop(hop: NextHop): Trouble[] {
  if (hop.kind === 'none') return [{ row: hop.why, text: hop.text, evidence: skipped(hop) }]
  // A host whose address may be known next time keeps the attempt transient, as one that cannot be reached does.
  return hop.unusable.flatMap(({ host, why, text }) =>
    why === 'dns-temporary' || why === 'dnssec-invalid' ? [{ row: why, text, evidence: { host } }] : [],
  )
}

const skipped = ({ unusable }: NextHop): Evidence => (unusable.length > 0 ? { skipped: unusable.slice(0, 10).map(({ text }) => text) } : {})

type Sessions = SessionParts & Aim

const sessionParts = ({ settings, deadlines, clock }: AttemptParts, trust: Trust, signal: AbortSignal): SessionParts => ({
  hostname: settings.hostname,
  trust,
  minimum: handshakeMinimum(settings['tls.minVersion']),
  sources: settings['delivery.sourceAddresses'],
  deadlines,
  now: clock,
  signal,
})

/** A session; with a reduced ClientHello where nothing was shared; in clear where N1 allows it and TLS still fails. */
async function openSomehow<N extends ChannelNeed>(
  candidate: Candidate,
  need: N,
  last: boolean,
  parts: Sessions,
): Promise<Opened<N['kind']>> {
  const manner = { ...parts, last, clear: false, reduced: false }
  let opened = await openSession<N>(candidate, need, manner, parts)
  if (opened.kind === 'trouble' && opened.trouble.row === 'no-shared-tls' && parts.minimum === 'TLSv1.2') {
    opened = await openSession<N>(candidate, need, { ...manner, reduced: true }, parts)
  }
  if (opened.kind === 'trouble' && need.kind === 'notice' && mayBeClear(need, parts) && isTlsTrouble(opened.trouble)) {
    opened = await openSession<N>(candidate, need, { ...manner, clear: true }, parts)
  }
  return opened
}

function outcomeOf({ settled, troubles }: Run, id: string, circumstances: Circumstances): Outcome {
  const met = settled.get(id)
  const candidates = troubles.map(({ row, text, evidence }) => ({ row, text, ...evidence }))
  const more: Evidence = candidates.length > 0 ? { candidates } : {}
  if (met?.settled.kind === 'accepted') return delivered(met, met.settled.reply, more)
  if (met?.settled.kind === 'refused')
    return verdict(withEvidence(met.settled.trouble, { ...sessionEvidence(met), ...more }), circumstances)
  const [first, ...others] = troubles
  if (!first) return verdict({ row: 'local-fault', text: 'no host was tried', evidence: {} }, circumstances)
  return verdict(withEvidence(mostHopeful([first, ...others]), more), circumstances)
}

const withEvidence = (trouble: Trouble, more: Evidence): Trouble => ({ ...trouble, evidence: { ...trouble.evidence, ...more } })

function delivered(met: Met, reply: string, more: Evidence): Outcome {
  const { candidate, assurance, channel } = met.session.facts
  const how = channel ? `${channel.protocol}, ${assurance}` : 'in clear text'
  return {
    kind: 'delivered',
    assurance,
    text: `${candidate.host} (${candidate.address}:${candidate.port}) took it over ${how}: "${reply}"`,
    evidence: { ...sessionEvidence(met), reply, ms: met.ms, dsn: met.session.keywords.has('DSN'), ...more },
  }
}

function sessionEvidence({ session }: Met): Evidence {
  const { candidate, identity, channel } = session.facts
  return { ...candidate, identity, ...(channel ? channelEvidence(channel) : { protocol: null, cipher: null, certificate: null }) }
}
