/** Who is at the other end of a connection: the client's address, behind proxies too, and whether its token may travel that way. */
import type { IncomingMessage } from 'node:http'
import ipaddr from 'ipaddr.js'

/** `http.trustedProxies`. */
type Networks = readonly string[]

/** The nearest address that is not a trusted proxy's: what stands further left in X-Forwarded-For, anybody may have written. */
export function clientOf({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>, trusted: Networks): string {
  const field = headers['x-forwarded-for']
  const forwarded = (Array.isArray(field) ? field.join(',') : (field ?? '')).split(',').map((part) => part.trim())
  let nearest = socket.remoteAddress ?? 'unknown'
  while (isWithin(nearest, trusted)) {
    const next = forwarded.pop()
    if (next === undefined || !ipaddr.isValid(next)) break
    nearest = next
  }
  return nearest
}

/** An API request may come from this machine, and from a trusted proxy, which speaks TLS to the outside: nobody else's token comes in clear. */
export function mayComeInClear(peer: string | undefined, trusted: Networks): boolean {
  if (peer === undefined || !ipaddr.isValid(peer)) return false
  return ipaddr.process(peer).range() === 'loopback' || isWithin(peer, trusted)
}

/** What failures are counted by: an IPv4 address, or the /64 of an IPv6 one. */
export function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const ip = ipaddr.process(address)
  return ip.kind() === 'ipv6' ? ip.toByteArray().slice(0, 8).join('.') : ip.toString()
}

function isWithin(address: string, networks: Networks): boolean {
  if (!ipaddr.isValid(address)) return false
  const ip = ipaddr.process(address)
  return networks.some((network) => {
    const [base, bits] = ipaddr.parseCIDR(network.includes('/') ? network : `${network}/${network.includes(':') ? 128 : 32}`)
    return base.kind() === ip.kind() && ip.match(base, bits)
  })
}
