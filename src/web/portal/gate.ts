/** Who may ask for anything at all: the right Host, forms from our own pages, and not too many failures from one address. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Request } from 'express'
import ipaddr from 'ipaddr.js'
import type { Clock } from '../../ops/clock.ts'
import { isLoopbackHost, isLoopbackUrl } from '../../ops/loopback.ts'
import type { Settings } from '../../ops/settings.ts'

/** True for a Host that is ours: of portal.url, of a former URL, or any loopback name when portal.url is one. Ports are the proxy's affair. */
export function hostGate(settings: Pick<Settings, 'portal.url' | 'portal.formerUrls'>): (request: Request) => boolean {
  const urls = [settings['portal.url'], ...settings['portal.formerUrls']]
  const known = new Set(urls.map((url) => new URL(url).hostname.toLowerCase()))
  const loopback = isLoopbackUrl(settings['portal.url'])
  return (request) => {
    const host = hostnameOf(request.headers.host ?? '')
    return host !== undefined && (known.has(host) || (loopback && isLoopbackHost(host)))
  }
}

function hostnameOf(host: string): string | undefined {
  if (!/^(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i.test(host)) return undefined
  return host.toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '')
}

/** The browser's own word on where a form came from; browsers without it are held by the token and SameSite. Origin is never demanded: with no-referrer it is `null`. */
export function fromOurPage(request: Request): boolean {
  const site = request.headers['sec-fetch-site']
  return site === undefined || site === 'same-origin' || site === 'none'
}

/** The token of a form: only who knows `secret` (link or cookie) can make it; it outlives a restart and needs no table. */
export const formToken = (purpose: string, secret: string): string =>
  createHmac('sha256', secret).update(`letterlock form ${purpose}`).digest('base64url').slice(0, 22)

/** True when the form carries the token that its page was given. */
export function tokenMatches(request: Request, purpose: string, secret: string): boolean {
  const given = Buffer.from(field(request, 'token'))
  const right = Buffer.from(formToken(purpose, secret))
  return given.length === right.length && timingSafeEqual(given, right)
}

/** One field of a posted form, '' when absent or given twice. */
export function field(request: Request, name: string): string {
  const body: unknown = request.body
  const value = typeof body === 'object' && body !== null ? Object.entries(body).find(([key]) => key === name)?.[1] : undefined
  return typeof value === 'string' ? value : ''
}

const windowLength = 10 * 60_000
const mostAddresses = 10_000

export type Failures = {
  /** Counts a failure of this client; the end of its window in milliseconds since 1970 once it has had too many, else undefined. */
  readonly count: (request: Request) => number | undefined
  /** The same question without counting. */
  readonly exceeded: (request: Request) => number | undefined
}

/** Failures per client address (IPv6: per /64) in ten minutes. Successes never count: a whole hospital shares one address. */
export function createFailures(limit: number, clock: Clock): Failures {
  const seen = new Map<string, { since: number; count: number }>()
  const current = (key: string) => {
    const entry = seen.get(key)
    if (entry && entry.since + windowLength > clock()) return entry
    const fresh = { since: clock(), count: 0 }
    seen.delete(key)
    return fresh
  }
  const end = (entry: { since: number; count: number }) => (entry.count > limit ? entry.since + windowLength : undefined)
  const count = (request: Request) => {
    const key = network(clientOf(request))
    const entry = current(key)
    entry.count += 1
    seen.set(key, entry)
    const oldest = seen.size > mostAddresses ? seen.keys().next().value : undefined
    if (oldest !== undefined) seen.delete(oldest)
    return end(entry)
  }
  return { count, exceeded: (request) => end(current(network(clientOf(request)))) }
}

/** The client's address, behind `http.trustedProxies` the one that they forward. */
export const clientOf = (request: Request): string => request.ip ?? 'unknown'

function network(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const ip = ipaddr.process(address)
  return ip.kind() === 'ipv6' ? ip.toByteArray().slice(0, 8).join('.') : ip.toString()
}
