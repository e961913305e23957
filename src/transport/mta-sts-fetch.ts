/** Fetches a domain's MTA-STS policy over HTTPS (RFC 8461 §3.3): by our own resolver, our own trust, and within bounds that no host can stretch. */
import { type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import { isSpecialPurpose } from './addresses.ts'
import { readPeer } from './certificate.ts'
import type { Resolver } from './dns.ts'
import { openSocket, shakeHands } from './handshake.ts'
import { readStsPolicy, type StsPolicy } from './mta-sts.ts'
import type { Trust } from './trust.ts'
import { describeError } from './wire.ts'

/** RFC 8460 §4.3. */
export type StsReason = 'sts-policy-fetch-error' | 'sts-policy-invalid' | 'sts-webpki-invalid'
export type StsTrouble = { readonly reason: StsReason; readonly text: string }
export type StsFetched = { readonly kind: 'policy'; readonly policy: StsPolicy } | ({ readonly kind: 'trouble' } & StsTrouble)

export type StsFetchParts = {
  readonly settings: Pick<Settings, 'delivery.allowPrivateAddresses' | 'delivery.ipv6'>
  readonly resolver: Resolver
  readonly clock: Clock
  /** Rejects when the CA store cannot be read. */
  readonly trust: () => Promise<Trust>
  /** Default 443; another one only in tests. */
  readonly port?: number | undefined
  /** Milliseconds for all of it, default 60 s (RFC 8461 §3.3). */
  readonly deadline?: number | undefined
}

const mostAddresses = 4
// RFC 8461 §3.3: no more than 64 kilobytes.
const longestPolicy = 64 * 1024

/** The policy that stands at `mta-sts.<domain>` now. Never rejects; over after the deadline or with `signal`, whatever the host does. */
export async function fetchStsPolicy(domain: string, parts: StsFetchParts, signal: AbortSignal): Promise<StsFetched> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(parts.deadline ?? 60_000)])
  const host = `mta-sts.${domain}`
  const addresses = await addressesOf(host, parts)
  if ('reason' in addresses) return { kind: 'trouble', ...addresses }
  const trust = await parts.trust().catch(() => undefined)
  if (!trust) return fetchError(`the MTA-STS policy of ${domain} cannot be judged: our list of certificate authorities cannot be read`)
  let last: StsFetched = fetchError(`${host} was not asked`)
  for (const address of addresses.found) {
    last = await fetchFrom(host, address, { trust, now: parts.clock(), port: parts.port ?? 443 }, within)
    // Another address of the same host helps where this one cannot be reached, not where it said something.
    if (last.kind === 'policy' || last.reason !== 'sts-policy-fetch-error' || within.aborted) return last
  }
  return last
}

const fetchError = (text: string) => ({ kind: 'trouble', reason: 'sts-policy-fetch-error', text }) as const

async function addressesOf(
  host: string,
  { settings, resolver }: StsFetchParts,
): Promise<{ readonly found: readonly string[] } | StsTrouble> {
  const looks = await Promise.all([resolver.look(host, 'A'), ...(settings['delivery.ipv6'] ? [resolver.look(host, 'AAAA')] : [])])
  const all = looks.flatMap((look) => (look.kind === 'records' ? look.records : []))
  const temporary = looks.find((look) => look.kind === 'temporary')
  if (all.length === 0)
    return {
      reason: 'sts-policy-fetch-error',
      text: temporary
        ? `${host} cannot be looked up now (${temporary.text})`
        : `${host}, which should show an MTA-STS policy, has no address`,
    }
  // Whoever writes DNS records must not make us talk to what only we can reach.
  const found = all.filter((address) => settings['delivery.allowPrivateAddresses'] || !isSpecialPurpose(address)).slice(0, mostAddresses)
  if (found.length > 0) return { found }
  return { reason: 'sts-policy-fetch-error', text: `${host} has the address ${all[0]}, which is not a public one` }
}

type Asking = { readonly trust: Trust; readonly now: number; readonly port: number }

async function fetchFrom(host: string, address: string, { trust, now, port }: Asking, signal: AbortSignal): Promise<StsFetched> {
  const connected = await openSocket({ host, address, port }, { sources: [], deadline: 15_000, signal })
  if (connected.kind === 'unreachable') return fetchError(connected.text)
  const { socket } = connected
  const cut = () => socket.destroy()
  signal.addEventListener('abort', cut, { once: true })
  try {
    if (signal.aborted) return fetchError(tooLate(host))
    const shaken = await shakeHands(socket, host, trust.context('TLSv1.2', false), 15_000)
    // RFC 8461 §3.3: TLS 1.2 or better; what kept the handshake from ending is not the certificate.
    if (shaken.kind === 'failed') return fetchError(signal.aborted ? tooLate(host) : shaken.text)
    const peer = readPeer(shaken.socket, host, trust, now)
    if (peer.chain.kind !== 'trusted') return { kind: 'trouble', reason: 'sts-webpki-invalid', text: peer.chain.text }
    if (!peer.names(host)) return { kind: 'trouble', reason: 'sts-webpki-invalid', text: `certificate of ${host} is for another name` }
    return await askFor(host, shaken.socket, signal)
  } finally {
    signal.removeEventListener('abort', cut)
    socket.destroy()
  }
}

const tooLate = (host: string) => `${host} did not show its MTA-STS policy in time`

/** GET over the channel that stands. */
function askFor(host: string, secure: TLSSocket, signal: AbortSignal): Promise<StsFetched> {
  return new Promise((resolve) => {
    const broken = (error: NodeJS.ErrnoException) =>
      resolve(fetchError(signal.aborted ? tooLate(host) : `${host}: its answer broke off (${describeError(error)})`))
    const asked = request({
      host,
      path: '/.well-known/mta-sts.txt',
      headers: { Host: host, 'User-Agent': 'Letterlock', Accept: 'text/plain', 'Accept-Encoding': 'identity', Connection: 'close' },
      createConnection: () => secure as Socket,
      maxHeaderSize: 16 * 1024,
    })
    // Cut with the connection: a host that only drips octets ends here, too.
    secure.once('close', () => resolve(fetchError(signal.aborted ? tooLate(host) : `${host} closed the connection`)))
    asked.on('error', broken)
    asked.on('response', (answer) => {
      answer.on('error', broken)
      void readAnswer(host, answer).then(resolve, broken)
    })
    asked.end()
  })
}

async function readAnswer(host: string, answer: IncomingMessage): Promise<StsFetched> {
  // RFC 8461 §3.3: redirects are not followed, and nothing but 200 counts.
  if (answer.statusCode !== 200) return fetchError(`${host} answered ${answer.statusCode} when asked for its MTA-STS policy`)
  // RFC 8461 §3.2: whoever may put pages on such a host must not make its policy.
  const type = answer.headers['content-type'] ?? 'text/plain'
  if (!/^text\/plain[ \t]*(?:;|$)/i.test(type)) return invalid(`${host} calls it ${type.slice(0, 40)}, not text/plain`)
  const encoding = answer.headers['content-encoding'] ?? 'identity'
  if (encoding.toLowerCase() !== 'identity')
    return fetchError(`${host} sent its MTA-STS policy packed (${encoding.slice(0, 20)}) though nobody asked for that`)
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > longestPolicy) return invalid(`it is longer than ${longestPolicy / 1024} KiB`)
    chunks.push(chunk)
  }
  if (!answer.complete) return fetchError(`${host}: its answer broke off`)
  const read = readStsPolicy(Buffer.concat(chunks).toString('utf8'))
  return read.kind === 'policy' ? read : { kind: 'trouble', reason: 'sts-policy-invalid', text: read.text }
}

const invalid = (text: string) =>
  ({ kind: 'trouble', reason: 'sts-policy-invalid', text: `the MTA-STS policy cannot be used: ${text}` }) as const
