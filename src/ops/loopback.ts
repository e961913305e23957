/** Tells whether a host or URL is this very machine. */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** True for localhost, *.localhost (RFC 6761 §6.3), 127.0.0.0/8 and ::1; brackets around IPv6 are allowed. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  if (isIP(bare) > 0) return ipaddr.process(bare).range() === 'loopback'
  return bare === 'localhost' || bare.endsWith('.localhost')
}

/** The same for the host of an absolute URL. */
export const isLoopbackUrl = (url: string): boolean => isLoopbackHost(new URL(url).hostname)
