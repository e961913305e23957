/** Tells what would become of a message now: its plan, the live look at the recipient's domain, the keys on record, and what detectors find in it. */
import { Readable } from 'node:stream'
import type { Detect } from '../detect/detect.ts'
import type { Sample } from '../detect/look.ts'
import { domainOf } from '../mail/address.ts'
import { type MailFacts, messageFacts } from '../mail/facts.ts'
import { parseHeader, splitHeader } from '../mail/header.ts'
import type { Looked, Plan, Step } from '../mail/plan.ts'
import { keyFor } from '../methods/pgp/keys.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import { policyDetectors } from '../routing/asked.ts'
import { builtInNames, looked, thresholdOf } from '../routing/detectors.ts'
import type { PlanFacts } from '../routing/facts.ts'
import { type Foretold, foretell, keyed, type Side } from '../routing/foretell.ts'
import { undecided } from '../routing/plan.ts'
import { decide } from '../routing/planner.ts'
import type { Policy } from '../routing/policy.ts'
import { inWords } from '../routing/remedy.ts'
import { readSurroundings } from '../routing/replay.ts'
import { seenSide } from '../routing/seen.ts'
import { witnessOf } from '../routing/simulate.ts'
import type { Db } from '../store/db.ts'
import { type ProbeOptions, probeDomain } from '../transport/probe.ts'
import { lastVerified } from './check-domain.ts'
import { standing } from './posture.ts'
import { describe, probedSide } from './would-be.ts'

export type PreviewAsked = {
  /** Canonical; '' is the null reverse-path. */
  readonly from: string
  /** Canonical. */
  readonly to: string
  readonly subject?: string | undefined
  /** The message as it would be handed in; without it an ordinary one is assumed. */
  readonly content?: Buffer | undefined
  /** Go by the last daily probe, and look at nothing now. */
  readonly stored?: boolean | undefined
}

/** The JSON of `policy preview`; fields may be added. */
export type Preview = {
  readonly from: string
  readonly to: string
  readonly policy: Pick<Plan, 'revision' | 'fingerprint'>
  readonly rule: Plan['rule']
  readonly rulesLookedAt: readonly Looked[]
  /** What the rules ask and nobody told: it counted as matching. */
  readonly notKnown: readonly string[]
  readonly steps: readonly string[]
  readonly alsoTo: readonly string[]
  /** Methods, while the policy only observes: what it would do. */
  readonly observed: readonly string[] | null
  readonly method: string
  readonly assurance: string | null
  readonly clear: boolean
  readonly held: boolean
  readonly proof: string | null
  readonly reason: string | null
  /** `would go by tls, verified`. */
  readonly text: string
  /** Steps that could not serve: the code of the reason, and the same in words. */
  readonly refused: readonly { readonly method: string; readonly reason: string; readonly text: string; readonly after: string }[]
  readonly facts: Omit<MailFacts, 'to' | 'subject'> & { readonly size: number | null }
  readonly domain: {
    readonly name: string
    readonly live: boolean
    readonly posture: string | null
    readonly reason: string | null
    /** The same in words, with its code. */
    readonly reasonText: string | null
  }
  /** Null: no message was given. `unreadable`: it was too much to look into, which counts as found. */
  readonly detectors: readonly Detected[] | 'unreadable' | null
}

export type Detected = {
  readonly name: string
  /** Whether a rule of the policy asks for it. */
  readonly asked: boolean
  readonly count: number
  readonly threshold: number
  /** Masked. */
  readonly samples: readonly Sample[]
}

export type PreviewParts = {
  readonly db: Db
  readonly clock: Clock
  readonly settings: Settings
  readonly policy: Policy
  readonly detect: Detect
  readonly probing?: Omit<ProbeOptions, 'settings' | 'clock'>
}

/** Nothing is sent and nothing kept. Rejects only when the database fails. */
export async function preview(
  asked: PreviewAsked,
  parts: PreviewParts,
): Promise<{ readonly kind: 'preview'; readonly preview: Preview } | { readonly kind: 'no-dns' | 'local-fault'; readonly text: string }> {
  const { policy } = parts
  const message = readMessage(asked)
  const found = asked.content === undefined ? null : await detectIn(asked.content, parts)
  const { mail, size } = message
  const known = { reversePath: asked.from, recipient: asked.to, mail, at: parts.clock(), ...(size === null ? {} : { size }) }
  const { plan, facts } = await decide(policy, known, { header: message.header, detect: async (names) => countsOf(names, found) })
  const met = await meet(asked, facts, plan, parts)
  if ('text' in met) return met
  const { told, steps } = met
  const { to: _, subject: __, ...kept } = mail
  return {
    kind: 'preview',
    preview: {
      ...{ from: asked.from, to: asked.to, policy: { revision: plan.revision, fingerprint: plan.fingerprint } },
      ...{ rule: plan.rule, rulesLookedAt: plan.trace, notKnown: undecided(policy, facts) },
      ...{ steps: steps.map(({ method }) => method), alsoTo: plan.alsoTo ?? [] },
      observed: plan.observed?.map(({ method }) => method) ?? null,
      ...{ method: told.method, assurance: told.assurance, clear: told.clear, held: told.held, proof: told.proof, reason: told.reason },
      ...{
        text: met.words,
        refused: told.earlier.map((one) => ({ ...one, text: `${inWords(one.reason)}${one.after}` })),
        facts: { ...kept, size },
        domain: { ...met.domain, reasonText: met.domain.reason === null ? null : inWords(met.domain.reason) },
        detectors: found,
      },
    },
  }
}

function readMessage({ from, subject = '', content }: PreviewAsked) {
  if (content === undefined) {
    const header = parseHeader(Buffer.from(`From: ${from}\r\nSubject: ${subject.replace(/[\r\n\0]+/g, ' ')}\r\n`))
    return { header, mail: { ...messageFacts(header), headerFrom: from }, size: null }
  }
  const { header: block, bodyStart } = splitHeader(content)
  const header = parseHeader(block)
  return { header, mail: messageFacts(header, content.subarray(bodyStart, bodyStart + 4096)), size: content.length }
}

/** Every detector there is: those of the program, and those of the policy. */
async function detectIn(content: Buffer, { policy, detect }: PreviewParts): Promise<readonly Detected[] | 'unreadable'> {
  const names = [...new Set([...builtInNames, ...policy.detectors.map(({ name }) => name)])]
  const answer = await detect.look(Readable.from([content]), looked(names, policy.detectors))
  if (answer.kind === 'unreadable') return 'unreadable'
  const asked = policyDetectors(policy)
  return answer.found.map((one) => ({ ...one, asked: asked.includes(one.name), threshold: thresholdOf(one.name, policy.detectors) }))
}

/** Where no message was given, nothing is found in it. */
function countsOf(names: readonly string[], found: Preview['detectors']): NonNullable<PlanFacts['detected']> {
  if (found === 'unreadable') return found
  return Object.fromEntries(names.map((name) => [name, found?.find((one) => one.name === name)?.count ?? 0]))
}

type MetNow = {
  readonly told: Foretold
  readonly steps: readonly Step[]
  readonly words: string
  readonly domain: Omit<Preview['domain'], 'reasonText'>
}

async function meet(
  { to, stored = false }: PreviewAsked,
  facts: PlanFacts,
  { steps }: Plan,
  parts: PreviewParts,
): Promise<MetNow | { readonly kind: 'no-dns' | 'local-fault'; readonly text: string }> {
  const { db, clock, settings, probing = {} } = parts
  const [domain, now] = [domainOf(to), clock()]
  const keys = await keysOf(facts, steps, parts)
  if (stored) {
    const around = await readSurroundings(db, now, settings['tls.ratchet'])
    const side: Side = { ...seenSide(witnessOf({ facts, steps: [] }, [], around, settings), settings), ...keys }
    const told = foretell(steps, side, settings)
    const probed = around.probed.get(domain)
    const where = { name: domain, live: false, posture: probed?.posture ?? null, reason: probed?.reason ?? null }
    return { told, steps, words: told.missing === null ? describe(told, steps).text : `cannot be told: ${told.missing}`, domain: where }
  }
  const probed = await probeDomain(domain, { ...probing, settings, clock })
  if (probed.kind !== 'probed') return probed
  const { probe } = probed
  const known = { probe, settings, verifiedAt: await lastVerified(db, domain, now - settings['tls.ratchet']) }
  const told = foretell(steps, { ...probedSide(known), ...keys }, settings)
  return { told, steps, words: describe(told, steps, known).text, domain: { name: domain, live: true, ...standing(probe) } }
}

/** Keys are asked of the database beforehand, for the walk asks nobody. */
async function keysOf({ recipient, mail, size = 0 }: PlanFacts, steps: readonly Step[], { db, clock, settings }: PreviewParts) {
  const now = clock()
  const usable = async (trust: 'approved' | 'direct') => {
    const key = await keyFor(db, recipient, trust)
    return key !== undefined && (key.expiresAt === null || key.expiresAt > now)
  }
  const wanted = steps.some(({ method }) => method === 'pgp')
  const known = wanted ? { approved: await usable('approved'), direct: await usable('direct') } : { approved: false, direct: false }
  const tooLarge = size > settings['limits.pgpMessageSize']
  return {
    pgp: ({ trust }: Step['options']) =>
      tooLarge
        ? ({ kind: 'refused', reason: 'message-too-large', after: '' } as const)
        : keyed('pgp', trust === 'direct' ? known.direct : known.approved),
    smime: () => keyed('smime', false),
    encrypted: mail.encrypted,
  }
}
