/** What each mail host of a probed domain proves, level by level, by the same rules as a delivery. Pure. */
import { type DaneVerdict, judgeDane } from '../transport/dane.ts'
import { stsAt } from '../transport/posture.ts'
import type { DomainProbe, HostProbe } from '../transport/probe.ts'
import { type ForcedNeed, judgeChannel } from '../transport/tls-need.ts'
import type { Published, Row, Trouble } from '../transport/trouble.ts'

export const levels = ['encrypted', 'verified', 'authenticated', 'dane'] as const
export type Level = (typeof levels)[number]

export type LevelResult = { readonly kind: 'enough'; readonly assurance: string } | { readonly kind: 'short'; readonly trouble: Trouble }

/** Whether a channel to this host would satisfy the need: DANE where the host has it, else MTA-STS. */
export function judgeHost(host: HostProbe, need: ForcedNeed, { domain, source, sts }: JudgedDomain): LevelResult {
  if (host.trouble) return { kind: 'short', trouble: host.trouble }
  const { channel } = host
  if (channel === undefined || source === undefined) return short('unreachable', `${host.host} was not reached`)
  const word = stsAt(host.host, { sts: sts.kind === 'policy' ? sts : { kind: 'none' } }, host.dane)
  if (word.kind === 'skip') return { kind: 'short', trouble: word.trouble }
  const goal = { host: host.host, domain, source, sts: word.kind === 'bound', dane: host.dane }
  const judged = judgeChannel(need, channel, goal)
  return judged.kind === 'short' ? short(judged.row, judged.text) : { kind: 'enough', assurance: judged.assurance }
}

type JudgedDomain = Pick<DomainProbe, 'domain' | 'source' | 'sts'>

const short = (row: Row, text: string): LevelResult => ({ kind: 'short', trouble: { row, text, evidence: {} } })

/** What its TLSA records say of the certificate it showed; undefined without records that bind. */
export const daneOf = ({ dane, channel }: HostProbe, now: number): DaneVerdict | undefined =>
  dane && channel ? judgeDane(channel.shown, dane.records, dane.names, now) : undefined

/** What binds a delivery to this host: a column of the decision table. */
export function publishedOf(host: HostProbe, { sts }: Pick<DomainProbe, 'sts'>): Published {
  if (host.dane) return 'dane'
  if (sts.kind !== 'policy' || sts.policy.mode === 'none') return 'none'
  return sts.policy.mode === 'enforce' ? 'sts-enforce' : 'sts-testing'
}
