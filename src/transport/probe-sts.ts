/** What a domain publishes by MTA-STS (RFC 8461), read now and not from the cache. */
import { readStsRecord, type StsPolicy } from './mta-sts.ts'
import { fetchStsPolicy } from './mta-sts-fetch.ts'
import type { ProbeParts } from './probe.ts'

/** `invalid`: published, but it cannot be had or used; `text` says why. */
export type StsSeen =
  | { readonly kind: 'none' }
  | { readonly kind: 'invalid'; readonly text: string }
  | { readonly kind: 'policy'; readonly id: string; readonly policy: StsPolicy }
  | { readonly kind: 'temporary'; readonly text: string }

const fetchDeadline = 20_000

/** Record and policy; never rejects. */
export async function probeSts(domain: string, parts: ProbeParts): Promise<StsSeen> {
  const { resolver, settings, trust, now, signal } = parts
  if (domain.startsWith('[') || Object.hasOwn(settings['delivery.routes'], domain)) return { kind: 'none' }
  const looked = await resolver.look(`_mta-sts.${domain}`, 'TXT')
  if (looked.kind === 'temporary') return { kind: 'temporary', text: looked.text }
  if (looked.kind !== 'records') return { kind: 'none' }
  const record = readStsRecord(looked.records)
  switch (record.kind) {
    case 'none':
      return { kind: 'none' }
    case 'invalid':
      return { kind: 'invalid', text: record.text }
    case 'record': {
      const fetching = { settings, resolver, clock: now, trust: async () => trust, port: parts.stsPort, deadline: fetchDeadline }
      const fetched = await fetchStsPolicy(domain, fetching, signal)
      if (fetched.kind === 'policy') return { kind: 'policy', id: record.id, policy: fetched.policy }
      return { kind: 'invalid', text: fetched.text }
    }
  }
}

/** In a few words. */
export function stsText(seen: StsSeen): string {
  switch (seen.kind) {
    case 'none':
      return 'no MTA-STS record'
    case 'invalid':
    case 'temporary':
      return seen.text
    case 'policy':
      return `mode ${seen.policy.mode}, for ${seen.policy.mx.slice(0, 5).join(', ') || 'no host'}`
  }
}
