/** The kinds of values a setting may have, and how each is read from text or YAML. */
import { isIP } from 'node:net'
import { isAbsolute, resolve } from 'node:path'
import { domainToASCII } from 'node:url'
import ipaddr from 'ipaddr.js'

/** What reading a value came to; `problem` completes the sentence "smtp.listen …". */
export type Read<T> = { readonly value: T } | { readonly problem: string }

/** One kind of value. `raw` is text (environment, default) or what YAML made of it; `base` is the folder relative paths start from. */
export type Kind<T> = { readonly name: string; readonly read: (raw: unknown, base: string) => Read<T> }

export type Listen = { readonly host: string; readonly port: number }
export type Route = { readonly host: string; readonly port: number; readonly tls: 'none' | 'encrypted' | 'verified' }

/** A kind that is read from one piece of text. */
const fromText = <T>(name: string, read: (text: string, base: string) => T | undefined, wanted: string): Kind<T> => ({
  name,
  read: (raw, base) => {
    const text = asText(raw)
    if (text === undefined) return { problem: `must be ${wanted}, not a list or a map` }
    const value = read(text, base)
    return value === undefined ? { problem: `must be ${wanted}, not '${text}'` } : { value }
  },
})

function asText(raw: unknown): string | undefined {
  if (raw === null || raw === undefined) return ''
  if (typeof raw === 'string') return raw.trim()
  if (typeof raw === 'number' || typeof raw === 'boolean') return String(raw)
  return undefined
}

export const text = fromText('text', (value) => value, 'text')
export const hostName = fromText('host name', readHostName, 'a host name such as gate.example.org')
export const domain = fromText('domain', readDomain, 'a domain such as example.org')
export const path = fromText('path', (value, base) => (value === '' ? undefined : resolve(base, value)), 'a path')
export const ipAddress = fromText('IP address', (value) => (isIP(value) > 0 ? value : undefined), 'an IP address')
export const network = fromText('network', readNetwork, 'a network such as 192.0.2.0/24 or 2001:db8::/32')
export const port = fromText('port', readPort, 'a port from 0 to 65535')
export const listen = fromText('host:port', readListen, 'host:port such as 127.0.0.1:2525 or [::1]:2525')
export const dnsServer = fromText('address[:port]', readDnsServer, 'an address, with a port when it is not 53, such as 127.0.0.1:5353')
export const duration = fromText('duration', readDuration, 'a duration such as 30s, 5m, 1h or 30d')
export const size = fromText('size', readSize, 'a size such as 64KiB, 50MiB or 1GiB')
export const count = fromText('number', (value) => (/^[0-9]{1,9}$/.test(value) ? Number(value) : undefined), 'a whole number')
export const yesNo = fromText('true or false', readYesNo, 'true or false')
export const origin = fromText('URL', readOrigin, 'a URL without a path such as https://letters.example.org')
export const mailbox = fromText(
  'address',
  (value) => (/^[^\s@<>]+@[^\s@<>]+$/.test(value) ? value : undefined),
  'an address such as letters@example.org',
)

/** A text out of a few. */
export const oneOf = <const T extends string>(...values: readonly T[]): Kind<T> =>
  fromText(values.join(', '), (value) => values.find((known) => known === value), `one of ${values.join(', ')}`)

/** Where something is kept: `scheme:path` with the path made absolute, or a URL of another scheme left as it is. */
export const location = (...schemes: readonly string[]): Kind<string> =>
  fromText('location', (value, base) => readLocation(schemes, value, base), `a location such as ${schemes[0]}:./folder`)

/** The same, or nothing: empty, `-` and `–` mean undefined. */
export const optional = <T>(kind: Kind<T>): Kind<T | undefined> => ({
  name: kind.name,
  read: (raw, base) => (['', '-', '–'].includes(asText(raw) ?? '?') ? { value: undefined } : kind.read(raw, base)),
})

/** A YAML list, or text parted by commas. `nothing` is a word for the empty list. */
export const list = <T>(kind: Kind<T>, nothing = '–'): Kind<readonly T[]> => ({
  name: `list of ${kind.name}`,
  read: (raw, base) => {
    const values: T[] = []
    for (const item of asItems(raw, nothing)) {
      const one = kind.read(item, base)
      if ('problem' in one) return { problem: `${one.problem} (each item of the list)` }
      values.push(one.value)
    }
    return { value: values }
  },
})

function asItems(raw: unknown, nothing: string): readonly unknown[] {
  if (Array.isArray(raw)) return raw
  const text = asText(raw)
  if (text === undefined) return [raw]
  if (text === '' || text === '-' || text === '–' || text === nothing) return []
  return text.split(',')
}

/** `delivery.routes`: a map from a domain or `*` to its next hop, in YAML or as JSON text. */
export const routes: Kind<{ readonly [domain: string]: Route }> = {
  name: 'map of routes',
  read: (raw) => {
    const map = asMap(raw)
    if (map === undefined) return { problem: 'must be a map such as {"example.org": {"host": "10.0.0.5", "port": 25, "tls": "verified"}}' }
    const read: { [domain: string]: Route } = {}
    for (const [name, value] of Object.entries(map)) {
      const key = name === '*' ? name : readDomain(name)
      if (key === undefined) return { problem: `has '${name}', which is neither a domain nor "*"` }
      const route = readRoute(value)
      if (typeof route === 'string') return { problem: `for '${name}' ${route}` }
      read[key] = route
    }
    return { value: read }
  },
}

function asMap(raw: unknown): Record<string, unknown> | undefined {
  if (raw === null || raw === undefined || raw === '') return {}
  const value = typeof raw === 'string' ? parseJson(raw) : raw
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.fromEntries(Object.entries(value))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function readRoute(raw: unknown): Route | string {
  const map = typeof raw === 'string' ? undefined : asMap(raw)
  if (map === undefined) return 'must be {host, port, tls}'
  const unknown = Object.keys(map).find((key) => !['host', 'port', 'tls'].includes(key))
  if (unknown !== undefined) return `has '${unknown}'; known are host, port and tls`
  const host = readHost(asText(map.host) ?? '')
  if (host === undefined) return 'needs a host: a name or an address'
  const number = readPort(asText(map.port ?? 25) ?? '')
  if (number === undefined || number === 0) return 'needs a port from 1 to 65535'
  const tls = (['none', 'encrypted', 'verified'] as const).find((known) => known === (map.tls ?? 'verified'))
  if (tls === undefined) return 'needs tls: none, encrypted or verified'
  return { host, port: number, tls }
}

/** A folder or file out of a `sqlite:` or `file:` location, absolute. */
export const pathOf = (place: string): string => place.replace(/^[a-z0-9]+:/, '')

function readLocation(schemes: readonly string[], value: string, base: string): string | undefined {
  const scheme = schemes.find((known) => value.startsWith(`${known}:`))
  if (scheme === undefined) return undefined
  const rest = value.slice(scheme.length + 1)
  if (rest === '' || rest.startsWith('//') || scheme === 'exec') return rest === '' ? undefined : value
  return `${scheme}:${isAbsolute(rest) ? rest : resolve(base, rest)}`
}

function readHost(value: string): string | undefined {
  const bare = value.startsWith('[') && value.endsWith(']') ? value.slice(1, -1) : value
  return isIP(bare) > 0 ? bare : readHostName(value)
}

function readHostName(value: string): string | undefined {
  const ascii = domainToASCII(value.replace(/\.$/, ''))
  const labels = ascii.split('.')
  const good = ascii.length <= 253 && isIP(ascii) === 0 && labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))
  return good ? ascii : undefined
}

function readDomain(value: string): string | undefined {
  const name = readHostName(value)
  return name?.includes('.') || name === 'localhost' ? name : undefined
}

function readNetwork(value: string): string | undefined {
  const whole = isIP(value) === 4 ? `${value}/32` : isIP(value) === 6 ? `${value}/128` : value
  return ipaddr.isValidCIDR(whole) ? whole : undefined
}

function readPort(value: string): number | undefined {
  return /^[0-9]{1,5}$/.test(value) && Number(value) <= 65535 ? Number(value) : undefined
}

function readListen(value: string): Listen | undefined {
  const parts = /^(?:\[([^\]]+)\]|([^:\s]+)):([0-9]{1,5})$/.exec(value)
  const number = readPort(parts?.[3] ?? '')
  if (parts === null || number === undefined) return undefined
  const host = parts[1] === undefined ? readHost(parts[2] ?? '') : isIP(parts[1]) === 6 ? parts[1] : undefined
  return host === undefined ? undefined : { host, port: number }
}

function readDnsServer(value: string): string | undefined {
  if (isIP(value) > 0) return value
  const server = readListen(value)
  return server !== undefined && isIP(server.host) > 0 && server.port > 0 ? value : undefined
}

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

function readDuration(value: string): number | undefined {
  if (!/^([0-9]{1,9}(ms|s|m|h|d))+$/.test(value)) return value === '0' ? 0 : undefined
  let total = 0
  for (const [, amount, unit] of value.matchAll(/([0-9]+)(ms|s|m|h|d)/g)) total += Number(amount) * units[unit as keyof typeof units]
  return total
}

const sizes: { readonly [unit: string]: number } = { '': 1, B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

function readSize(value: string): number | undefined {
  const parts = /^([0-9]{1,12})\s*([A-Za-z]*)$/.exec(value)
  const factor = parts === null ? undefined : sizes[parts[2] ?? '']
  return factor === undefined ? undefined : Number(parts?.[1]) * factor
}

function readYesNo(value: string): boolean | undefined {
  return value === 'true' ? true : value === 'false' ? false : undefined
}

function readOrigin(value: string): string | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined
  return `${url.origin}/` === url.href ? url.origin : undefined
}
