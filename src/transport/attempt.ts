/** One attempt at one domain: candidate after candidate until every recipient has an answer. */
import type { Logger } from 'pino'
import type { Evidence, Outcome } from '../mail/outcome.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import { addressLiteral } from './addresses.ts'
import type { Deadlines } from './deadlines.ts'
import type { Destinations } from './destinations.ts'
import type { Resolver } from './dns.ts'
import { type Candidate, type NextHop, nextHop, routeOf } from './next-hop.ts'
import type { Place } from './places.ts'
import { carry, type Pool } from './pool.ts'
import {
  failsTesting,
  noPosture,
  type Posture,
  type Postures,
  postureEvidence,
  publishedBy,
  type Seen,
  seenFailing,
  seenStanding,
  stsAt,
} from './posture.ts'
import { channelEvidence, type Manner, type Opened, openSession, type SessionParts, type SessionView } from './session.ts'
import { type Aim, boundByDane, type ChannelNeed, channelNeed, handshakeMinimum, hopeless, hopelessAt, mayBeClear } from './tls-need.ts'
import type { Settled } from './transaction.ts'
import type { Shipment } from './transport.ts'
import { isAlarming, isTlsTrouble, mostHopeful, strictest, type Trouble } from './trouble.ts'
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
  readonly postures: Postures
}

/** Ship to a domain: an outcome for every recipient id, whatever peers and DNS do. */
export async function deliverTo(shipment: Shipment, parts: AttemptParts, signal: AbortSignal): Promise<ReadonlyMap<string, Outcome>> {
  const { settings, log } = parts
  const { domain } = shipment
  const need = channelNeed(shipment.need, routeOf(domain, settings), isOwnRoute(domain, settings))
  const timings = {
    need: need.kind === 'forced' ? ('forced' as const) : ('clear' as const),
    soft: settings['retry.tls.soft'],
    ratchet: settings['retry.tls.ratchet'],
    enforced: settings['retry.tls.enforced'],
    patience: need.kind === 'forced' ? need.patience : undefined,
  }
  const down = shipment.recipients.some(({ insist }) => insist) ? undefined : parts.destinations.down(domain)
  const run = down ? nowhere([down]) : await walkCandidates(shipment, need, parts, signal)
  const answers = [...run.settled.values()].map(({ settled }) => settled)
  if (!down && !signal.aborted) parts.destinations.learn(domain, { settled: answers, troubles: run.troubles })
  const circumstances = { ...timings, published: publishedOf(run, timings.need), verifiedAt: run.posture.verifiedAt }
  const outcomes = new Map(shipment.recipients.map(({ id }) => [id, outcomeOf(run, id, circumstances)]))
  parts.postures.note(run.seen)
  for (const { row, text } of run.troubles.filter(isAlarming)) log.warn({ domain, row }, text)
  log.debug({ domain, troubles: run.troubles.map(({ row }) => row), outcomes: [...outcomes.values()].map(({ kind }) => kind) }, 'attempted')
  return outcomes
}

// The smarthost's route "*" is nobody's own: there the rule's need holds as well.
const isOwnRoute = (domain: string, settings: Settings) =>
  settings['organisation.domains'].includes(domain) && Object.hasOwn(settings['delivery.routes'], domain)

/** What an attempt came to, before it is judged. */
type Run = {
  readonly settled: ReadonlyMap<string, Met>
  readonly troubles: readonly Trouble[]
  readonly posture: Posture
  readonly seen: readonly Seen[]
}
/** A recipient's answer and the session it was given in. */
type Met = { readonly settled: Settled; readonly session: SessionView; readonly ms: number }

const nowhere = (troubles: readonly Trouble[], posture = noPosture): Run => ({ settled: new Map(), troubles, posture, seen: [] })

const publishedOf = ({ posture, troubles }: Run, need: 'forced' | 'clear') =>
  strictest([publishedBy(posture, need), ...troubles.map(({ published }) => published)])

async function walkCandidates<N extends ChannelNeed>(shipment: Shipment, need: N, parts: AttemptParts, signal: AbortSignal): Promise<Run> {
  const { domain } = shipment
  const trust = await parts.trust().catch((error: Error) => error)
  if (trust instanceof Error) return ourFault('our list of certificate authorities cannot be read', trust, parts)
  const [hop, posture] = await Promise.all([nextHop(domain, parts), postureOf(domain, parts, signal).catch((error: Error) => error)])
  if (posture instanceof Error) return ourFault('what is known of other domains cannot be read from the database', posture, parts)
  if (hop.kind === 'none') return nowhere(troublesOfHop(hop), posture)
  const without = tooLow(hopeless(need, hop.source, domain), {})
  if (without) return nowhere([without], posture)

  const sessions = { ...sessionParts(parts, trust, signal), domain, source: hop.source }
  const run = await tryHosts(shipment, need, hop, posture, sessions, parts)
  if (run.settled.size > 0 || run.troubles.length === 0 || run.troubles.some(({ row }) => row !== 'mx-not-in-policy')) return run
  // RFC 8461 §5.1: no host fits; the policy may have changed.
  const anew = await parts.postures.of(domain, signal, { anew: true }).catch(() => posture)
  const fits = hop.candidates.some(({ host }) => stsAt(host, anew, hop.dane.get(host)).kind !== 'skip')
  return fits ? tryHosts(shipment, need, hop, anew, sessions, parts) : run
}

const tooLow = (text: string | undefined, evidence: Evidence): Trouble | undefined =>
  text === undefined ? undefined : { row: 'too-low', text, evidence }

/** A fault of ours: all mail waits, and nothing falls back. */
function ourFault(what: string, error: Error, { log }: AttemptParts): Run {
  log.error({ error: error.message }, `${what}: mail waits`)
  return nowhere([{ row: 'local-fault', text: `${what} (${error.message})`, evidence: {} }])
}

/** Nothing is published for the hosts of a route, nor for an address. */
const postureOf = async (domain: string, { settings, postures }: AttemptParts, signal: AbortSignal): Promise<Posture> =>
  routeOf(domain, settings) || addressLiteral(domain) !== undefined ? noPosture : postures.of(domain, signal)

async function tryHosts<N extends ChannelNeed>(
  shipment: Shipment,
  need: N,
  hop: NextHop & { readonly kind: 'hops' },
  posture: Posture,
  sessions: Sessions,
  parts: AttemptParts,
): Promise<Run> {
  const { domain, signal } = sessions
  const settled = new Map<string, Met>()
  const troubles = troublesOfHop(hop)
  const seen: Seen[] = []
  const started = parts.clock()
  for (const [i, candidate] of hop.candidates.entries()) {
    const rest = shipment.recipients.filter(({ id }) => !settled.has(id))
    if (rest.length === 0 || signal.aborted) break
    const dane = hop.dane.get(candidate.host)
    const word = stsAt(candidate.host, posture, dane)
    const where = { domain, posture, dane }
    const lapsed = posture.lapsedAt !== undefined
    const aim = { ...sessions, dane, lapsed, sts: word.kind === 'bound', tlsFailed: troubles.some(isTlsTrouble) }
    const refused = word.kind === 'skip' ? word.trouble : tooLow(hopelessAt(need, candidate.host, aim), candidate)
    if (refused) {
      troubles.push(refused)
      seen.push(...seenFailing(refused, where))
      continue
    }
    const open = (place: Place) => openSomehow(candidate, need, { last: i === hop.candidates.length - 1, place }, aim)
    const carried = await carry({ ...shipment, need: need.kind, recipients: rest }, candidate, need, aim, open, { ...parts, signal })
    if (carried.kind === 'trouble') {
      const published = boundByDane(carried.trouble.row, aim)
      troubles.push({ ...carried.trouble, ...(published && { published }) })
      seen.push(...seenFailing(carried.trouble, where))
      continue
    }
    const { session, done, ms } = carried
    // A kept connection was counted when it was opened.
    if (posture !== noPosture && session.connection.openedAt >= started) seen.push(seenStanding(session.facts, where))
    for (const [id, one] of done.settled) settled.set(id, { settled: one, session, ms })
    if (done.trouble) troubles.push(done.trouble)
  }
  if (signal.aborted) troubles.push({ row: 'connection-lost', text: 'the attempt was stopped because the gateway stops', evidence: {} })
  return { settled, troubles, posture, seen }
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
  how: Pick<Manner, 'last' | 'place'>,
  parts: Sessions,
): Promise<Opened<N['kind']>> {
  const manner = { ...parts, ...how, clear: false, reduced: false }
  let opened = await openSession<N>(candidate, need, manner, parts)
  if (opened.kind === 'trouble' && opened.trouble.row === 'no-shared-tls' && parts.minimum === 'TLSv1.2') {
    opened = await openSession<N>(candidate, need, { ...manner, reduced: true }, parts)
  }
  if (opened.kind === 'trouble' && need.kind === 'notice' && mayBeClear(need, parts) && isTlsTrouble(opened.trouble)) {
    opened = await openSession<N>(candidate, need, { ...manner, clear: true }, parts)
  }
  return opened
}

function outcomeOf({ settled, troubles, posture }: Run, id: string, circumstances: Circumstances): Outcome {
  const met = settled.get(id)
  const candidates = troubles.map(({ row, text, evidence }) => ({ row, text, ...evidence }))
  const more: Evidence = { ...postureEvidence(posture), ...(candidates.length > 0 && { candidates }) }
  if (met?.settled.kind === 'accepted') {
    const mended: Evidence = met.settled.reencoded ? { reencoded: true } : {}
    return delivered(met, met.settled.reply, { ...mended, ...more, ...testing(met, posture) })
  }
  if (met?.settled.kind === 'refused')
    return verdict(withEvidence(met.settled.trouble, { ...sessionEvidence(met), ...more }), circumstances)
  const [first, ...others] = troubles
  if (!first) return verdict({ row: 'local-fault', text: 'no host was tried', evidence: {} }, circumstances)
  // A host that is bound and fails is no reason to fall back because another host, which is not, fails as well.
  const published = strictest([circumstances.published, ...troubles.map((trouble) => trouble.published)])
  return verdict(withEvidence(mostHopeful([first, ...others]), more), { ...circumstances, published })
}

function testing({ session: { facts } }: Met, posture: Posture): Evidence {
  const failure = failsTesting(facts.candidate.host, posture, facts.channel)
  return failure ? { testingFailed: failure.text } : {}
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
