/** Makes a recipient's side of what was seen when its mail was decided on: what was not seen is said to be missing, never guessed. Pure. */
import { type Evidence, type Reason, reasons, tlsReasons } from '../mail/outcome.ts'
import type { Step, StepResult } from '../mail/plan.ts'
import { needOf, tls } from '../methods/tls/tls.ts'
import type { Settings } from '../ops/settings.ts'
import { type ChannelNeed, channelNeed } from '../transport/tls-need.ts'
import { columns, type Published, type Row, rows } from '../transport/trouble.ts'
import { verdict } from '../transport/verdict.ts'
import { keyed, type Met, type Side } from './foretell.ts'
import { metOf } from './worlds.ts'

/** What is known of one decision. */
export type Witness = {
  /** As recorded last, in the order of the plan. */
  readonly steps: readonly StepResult[]
  /** What each of them was asked, where the policy of that time tells. */
  readonly asked: readonly (Step['options'] | undefined)[]
  readonly encrypted: boolean
  /** Bytes. */
  readonly size: number | undefined
  /** What the last probe of the domain found; undefined: nothing that tells about TLS. */
  readonly probed: Probed | undefined
  /** Verified TLS was used there within `tls.ratchet`, milliseconds since 1970. */
  readonly verifiedAt: number | undefined
  /** Whether a PGP key on record serves a step with these options. */
  readonly hasKey: (options: Step['options']) => boolean
  /** The route of the settings, and whether the domain is the organisation's. */
  readonly route: Settings['delivery.routes'][string] | undefined
  readonly own: boolean
}

export type Probed = { readonly posture: 'clear' | 'encrypted' | 'verified' | 'authenticated'; readonly reason: string | null }

export type SeenSettings = Pick<Settings, 'retry.tls.soft' | 'retry.tls.ratchet' | 'retry.tls.enforced' | 'limits.pgpMessageSize'>

/** The side of one recipient as its own mail met it. */
export function seenSide(witness: Witness, settings: SeenSettings): Side {
  const channel = channelOf(witness)
  const known = { ...witness, channel, settings }
  return {
    tls: (options) => meetTls(options, known),
    opportunistic: () => meetOpportunistic(known),
    pgp: (options) => meetPgp(options, known),
    smime: () => keyed('smime', false),
    encrypted: witness.encrypted,
  }
}

type Known = Witness & { readonly channel: Channel | undefined; readonly settings: SeenSettings }

type Level = 'none' | 'encrypted' | 'verified' | 'authenticated' | 'dane' | 'pinned'
const levels: readonly Level[] = ['none', 'encrypted', 'verified', 'authenticated', 'dane']

/** What stood, and what went wrong: either may be missing. */
type Channel = {
  readonly reached: Level | undefined
  /** `TLSv1.3`; undefined: not recorded. */
  readonly protocol: string | undefined
  readonly trouble: StepResult | undefined
  /** What was asked of the step that saw it; undefined: not known, or not a tls step. */
  readonly asked: Step['options'] | undefined
}

const sending = ['tls', 'opportunistic', 'pgp', 'smime', 'route']

/** The last step that met the recipient's host, or tried to; undefined: none did. */
function channelOf({ steps, asked, probed }: Witness): Channel | undefined {
  const index = steps.findLastIndex((step) => sending.includes(step.method) && step.result !== 'not-tried' && aboutHost(step))
  const step = steps[index]
  if (step === undefined)
    return probed === undefined || probed.posture === 'clear'
      ? probed && { reached: undefined, protocol: undefined, trouble: ofProbe(probed), asked: undefined }
      : { reached: probed.posture, protocol: undefined, trouble: undefined, asked: undefined }
  const { evidence, method, result } = step
  const options = method === 'tls' ? asked[index] : undefined
  return {
    reached: reachedBy(evidence),
    protocol: typeof evidence.protocol === 'string' ? evidence.protocol : undefined,
    trouble: result === 'delivered' ? undefined : step,
    asked: options,
  }
}

const isRefusal = ({ result }: StepResult): boolean => result === 'unsuitable' || result === 'deferred' || result === 'failed'

/** Keys and the form of the message say nothing of the host. */
const notOfHost: readonly (Reason | null)[] = [
  'no-key',
  'key-unusable',
  'no-certificate',
  'not-encryptable',
  'already-encrypted',
  'not-available',
  'local-fault',
  'content-damaged',
  'restored',
  'attempt-crashed',
  'returned-by-operator',
  'rule-says-bounce',
]
const aboutHost = ({ method, reason, result, evidence }: StepResult): boolean => {
  if (result === 'delivered') return true
  // A step that encrypts may be refused before anybody is asked.
  if ((method === 'pgp' || method === 'smime') && typeof evidence.host !== 'string') return false
  return reason !== null && !notOfHost.includes(reason)
}

const ofProbe = ({ reason }: Probed): StepResult => ({
  method: 'tls',
  result: 'unsuitable',
  reason: reasons.find((one) => one === reason) ?? 'starttls-not-supported',
  text: '',
  evidence: {},
})

/** The assurance that the identity in the evidence stands for (transport/tls-need.ts); undefined: no session stood. */
function reachedBy({ identity, protocol }: Evidence): Level | undefined {
  if (typeof identity !== 'string') return undefined
  if (identity === 'pin') return 'pinned'
  if (identity === 'dane') return 'dane'
  if (identity === 'sts' || identity === 'webpki') return 'authenticated'
  if (identity.startsWith('webpki')) return 'verified'
  return typeof protocol === 'string' ? 'encrypted' : 'none'
}

const unknown = (missing: string): Met => ({ kind: 'unknown', missing })
const refused = (reason: Reason): Met => ({ kind: 'refused', reason, after: '' })
const nothingSeen = unknown('the TLS of a domain that was not probed')

function meetTls(options: Step['options'], known: Known): Met {
  const { channel, route, own, steps, asked } = known
  const same = steps.find((step, i) => step.method === 'tls' && isRefusal(step) && sameDemand(asked[i], options))
  if (same !== undefined) return happened(same, known)
  if (channel === undefined) return nothingSeen
  const need = channelNeed(needOf(tls.options.parse(options)), route, own)
  const { trouble, reached } = channel
  if (trouble?.reason && !ofTls.includes(trouble.reason)) {
    const short = reached === undefined ? undefined : judge(need, reached, known)
    return short?.kind === 'refused' ? short : happened(trouble, known)
  }
  if (reached !== undefined) return judge(need, reached, known)
  return trouble === undefined ? nothingSeen : judgeTrouble(need, trouble, known)
}

/** Trouble that depends on what is asked of the channel. All other trouble meets every step that sends. */
const ofTls: readonly Reason[] = [...tlsReasons, 'downgrade-suspected']

/** A channel that stood, judged for another need. */
function judge(need: ChannelNeed, reached: Level, known: Known): Met {
  const served: Met = { kind: 'served', assurance: reached, clear: reached === 'none' }
  if (need.kind !== 'forced') return served
  const { level, pin, min } = need
  const protocol = known.channel?.protocol
  if (min === 'TLSv1.3' && reached !== 'none') {
    if (protocol === undefined) return unknown('the version of TLS that its host speaks')
    if (protocol !== min) return refused('assurance-too-low')
  }
  if (reached === 'none') return ruled('starttls-not-offered', known)
  if (level === 'encrypted') return served
  if (level === 'pinned' || reached === 'pinned')
    return samePin(known, pin) && reached === level ? served : unknown('the public key of its host')
  if (levels.indexOf(reached) >= levels.indexOf(level)) return served
  if (pin !== undefined) return unknown('the names in the certificate of its host')
  // Which of the certificate's faults it was does not matter: all of them fall back, and all are held back by the ratchet.
  return ruled(reached === 'encrypted' && known.verifiedAt !== undefined ? 'not-trusted' : 'too-low', known)
}

const samePin = ({ channel }: Known, pin: readonly string[] | undefined): boolean =>
  JSON.stringify(pin) === JSON.stringify(channel?.asked?.pin)

/** A channel that did not stand, judged for another need. */
function judgeTrouble(need: ChannelNeed, trouble: StepResult, known: Known): Met {
  const asked = known.channel?.asked
  if (need.kind !== 'forced') return meetOpportunistic(known)
  switch (causeOf(trouble)) {
    case 'certificate-not-trusted':
    case 'certificate-host-mismatch':
    case 'certificate-expired':
      if (need.level === 'pinned' || need.pin !== undefined) return unknown('the public key of its host')
      return need.level === 'encrypted' && !isBound(trouble) ? judge(need, 'encrypted', known) : happened(trouble, known)
    case 'assurance-too-low':
      if (typeof trouble.evidence.protocol === 'string') {
        if (need.level === 'encrypted') return judge(need, 'encrypted', known)
        // A host that is proven, but not for its domain (transport/tls-need.ts).
        if (asked?.level === 'authenticated' && asked.min === undefined && asked.pin === undefined) return judge(need, 'verified', known)
      }
      return unknown('what its host proves below the level that was asked')
    case 'tlsa-invalid':
      return need.level === 'dane' ? happened(trouble, known) : unknown('what its host proves without DANE')
    default:
      return happened(trouble, known)
  }
}

/** How long is waited does not change what is met. */
export const sameDemand = (one: Step['options'] | undefined, other: Step['options']): boolean =>
  one !== undefined && demand(one) === demand(other)
const demand = ({ level, pin, min }: Step['options']): string => JSON.stringify([level, pin, min])

/** An offered STARTTLS that fails is retried, never skipped; a certificate is looked at only where its domain asks for that. */
function meetOpportunistic(known: Known): Met {
  const { channel } = known
  if (channel === undefined) return nothingSeen
  const { reached, trouble } = channel
  if (trouble?.reason && !ofTls.includes(trouble.reason)) return happened(trouble, known)
  if (reached !== undefined) return { kind: 'served', assurance: reached, clear: reached === 'none' }
  if (trouble === undefined) return nothingSeen
  const cause = causeOf(trouble)
  const waits: Met = { kind: 'waits', reason: cause }
  if (isBound(trouble)) return waits
  const { row } = trouble.evidence
  if (cause === 'starttls-not-supported')
    return row === 'starttls-4yz' || row === 'starttls-5yz' ? waits : { kind: 'served', assurance: 'none', clear: true }
  const stood = cause.startsWith('certificate-') || typeof trouble.evidence.protocol === 'string'
  return stood ? { kind: 'served', assurance: 'encrypted', clear: false } : waits
}

function meetPgp(options: Step['options'], known: Known): Met {
  const { steps, asked, channel, hasKey, settings, size = 0 } = known
  const index = steps.findIndex(({ method, result }) => method === 'pgp' && result !== 'not-tried')
  const tried = steps[index]
  if (tried?.result === 'unsuitable' && tried.reason !== null && (tried.reason !== 'no-key' || asked[index]?.trust === options.trust))
    return refused(tried.reason)
  if (tried === undefined && size > settings['limits.pgpMessageSize']) return refused('message-too-large')
  const served = tried?.result === 'delivered' && asked[index]?.trust === options.trust
  if (!served && !hasKey(options)) return refused('no-key')
  // An encrypted message goes over any channel, but not to a host that is down or an address that does not exist.
  const trouble = channel?.trouble
  return trouble?.reason && !ofTls.includes(trouble.reason) ? happened(trouble, known) : keyed('pgp', true)
}

const isBound = ({ evidence }: StepResult): boolean => evidence.published === 'sts-enforce' || evidence.published === 'dane'

/** What happened, before patience ended and gave it another name. */
const causeOf = ({ reason, evidence }: StepResult): Reason => reasons.find((one) => one === evidence.cause) ?? reason ?? 'local-fault'

/** The same trouble again: what becomes of it in the end. */
function happened(step: StepResult, known: Known): Met {
  const reason = step.reason ?? 'local-fault'
  if (step.result === 'unsuitable') return refused(reason)
  if (step.result === 'failed') return { kind: 'failed', reason }
  const row = rows.find((one) => one === step.evidence.row)
  return row === undefined
    ? { kind: 'waits', reason }
    : ruled(
        row,
        known,
        columns.find((one) => one === step.evidence.published),
      )
}

/** The decision table's word; without a record of what bound us, the ratchet of now counts. */
function ruled(row: Row, { settings, verifiedAt }: Known, published: Published = verifiedAt === undefined ? 'none' : 'ratchet'): Met {
  return metOf(
    verdict(
      { row, text: '', evidence: {} },
      {
        ...{ published, need: 'forced', patience: undefined },
        ...{ soft: settings['retry.tls.soft'], ratchet: settings['retry.tls.ratchet'], enforced: settings['retry.tls.enforced'] },
      },
    ),
  )
}
