/** Which IP addresses a next hop may have: not our own, and not those that only mean something inside a network. */
import { networkInterfaces } from 'node:os'
import ipaddr from 'ipaddr.js'

export type Endpoint = { readonly host: string; readonly port: number }

/** Whether a connection to this address and port would come back to us. `listening`: our SMTP listeners. */
export function isOwnAddress(address: string, port: number, listening: readonly Endpoint[], interfaces = ownInterfaces()): boolean {
  const wanted = normal(address)
  if (wanted === undefined) return false
  // Loopback is everybody's: ours only where we listen.
  if (rangeOf(wanted) === 'loopback' || rangeOf(wanted) === 'unspecified')
    return listening.some((own) => own.port === port && covers(own.host, wanted))
  return interfaces.includes(wanted)
}

/** Loopback, private, link-local, multicast, NAT64, 6to4 … (RFC 6890): nowhere a stranger's mail server may be. */
export function isSpecialPurpose(address: string): boolean {
  const parsed = parse(address)
  return parsed === undefined || parsed.range() !== 'unicast'
}

/** The address literal of a domain like `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3); undefined for a name. */
export function addressLiteral(domain: string): string | undefined {
  const inner = /^\[(?:IPv6:)?([^\]]+)\]$/i.exec(domain)?.[1]
  return inner !== undefined && ipaddr.isValid(inner) ? inner : undefined
}

function covers(listener: string, wanted: string): boolean {
  if (listener === 'localhost') return rangeOf(wanted) === 'loopback'
  const own = normal(listener)
  return own === wanted || own === '0.0.0.0' || own === '::' || rangeOf(wanted) === 'unspecified'
}

const ownInterfaces = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).filter(({ internal }) => !internal).flatMap(({ address }) => normal(address) ?? []),
  )

// ::ffff:192.0.2.1 is 192.0.2.1: the mapped form must not slip past a check.
function parse(address: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const bare = address.replace(/%.*$/, '')
  return ipaddr.isValid(bare) ? ipaddr.process(bare) : undefined
}

const normal = (address: string) => parse(address)?.toString()
const rangeOf = (address: string) => parse(address)?.range()
