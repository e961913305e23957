/** What a server's certificate proves, judged by ourselves after a handshake that let everything pass. */
import { createHash, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import type { Trust } from './trust.ts'

/** For decision records: never the certificate itself. */
export type CertificateFacts = {
  readonly subject: string
  readonly issuer: string
  /** ISO dates. */
  readonly notBefore: string
  readonly notAfter: string
  readonly fingerprint256: string
}

export type ChainVerdict =
  | { readonly kind: 'trusted' }
  | { readonly kind: 'untrusted'; readonly text: string }
  | { readonly kind: 'expired'; readonly text: string }

export type Peer = {
  readonly chain: ChainVerdict
  readonly facts: CertificateFacts | null
  /** Whether the certificate names this host (RFC 6125, RFC 9525): subjectAltName only, no partial wildcards. */
  readonly names: (host: string) => boolean
  /** SHA-256 of the public key (SubjectPublicKeyInfo), hex. */
  readonly spki: string | undefined
  /** All certificates as the server sent them, in DER, its own first; then those that complete the chain from our store. */
  readonly shown: readonly Buffer[]
}

/** Read the certificate of a finished handshake. `host` is for the texts. What cannot be read proves nothing. */
export function readPeer(socket: TLSSocket, host: string, trust: Trust, now: number): Peer {
  try {
    const sent = sentChain(socket)
    return sent[0] ? readLeaf(sent[0], sent, socket, host, trust, now) : nothing(`${host} showed no certificate`)
  } catch (error) {
    return nothing(`certificate of ${host} cannot be read (${error instanceof Error ? error.message : String(error)})`)
  }
}

const nothing = (text: string): Peer => ({
  chain: { kind: 'untrusted', text },
  facts: null,
  names: () => false,
  spki: undefined,
  shown: [],
})

const readLeaf = (
  leaf: X509Certificate,
  sent: readonly X509Certificate[],
  socket: TLSSocket,
  host: string,
  trust: Trust,
  now: number,
): Peer => ({
  chain: judgeChain(socket, sent, host, trust, now),
  facts: factsOf(leaf),
  names: remembered((name) => certificateNames(leaf, name)),
  spki: createHash('sha256')
    .update(leaf.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex'),
  shown: shownBy(socket, sent),
})

/** One answer a name: a kept connection is asked again for each message, and a certificate takes its time. */
function remembered(ask: (name: string) => boolean): (name: string) => boolean {
  const known = new Map<string, boolean>()
  return (name) => {
    const answer = known.get(name) ?? ask(name)
    known.set(name, answer)
    return answer
  }
}

/** RFC 9525 §6.3: the common name never counts; an IP address needs an iPAddress name. */
export function certificateNames(certificate: X509Certificate, host: string): boolean {
  if (isIP(host)) return certificate.checkIP(host) !== undefined
  return certificate.checkHost(host, { subject: 'never', partialWildcards: false, multiLabelWildcards: false }) !== undefined
}

function sentChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  const seen = new Set<string>()
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (next?.raw && !seen.has(next.fingerprint256) && chain.length < 16) {
    seen.add(next.fingerprint256)
    chain.push(new X509Certificate(next.raw))
    next = next.issuerCertificate
  }
  return chain
}

/**
 * `getPeerCertificate(true)` follows issuer links and loses what is not linked in the order sent: of leaf, root, intermediate only the leaf is left.
 * The list behind `getPeerX509Certificate().issuerCertificate` is the server's own, in its order, linked or not (seen with Node 20.20 and OpenSSL 3.0,
 * not documented: should that change, an anchor sent out of order is no longer found, and mail waits). At most 16, as in `sentChain`.
 */
function shownBy(socket: TLSSocket, linked: readonly X509Certificate[]): Buffer[] {
  const shown = new Map<string, Buffer>()
  let next = socket.getPeerX509Certificate()
  for (let i = 0; next && i < 16; i++) {
    shown.set(next.fingerprint256, next.raw)
    next = next.issuerCertificate
  }
  for (const one of linked) shown.set(one.fingerprint256, one.raw)
  return [...shown.values()]
}

// OpenSSL checks the path: signatures, CA bits, lengths, purposes, dates. It reports one error only, and a date hides the others.
function judgeChain(socket: TLSSocket, sent: readonly X509Certificate[], host: string, trust: Trust, now: number): ChainVerdict {
  const error = socket.authorized ? undefined : errorCode(socket.authorizationError)
  const late = lateOf(sent, now)
  if (error === undefined) return late ? { kind: 'expired', text: lateText(late, host, now) } : { kind: 'trusted' }
  if (!dateErrors.includes(error)) return { kind: 'untrusted', text: untrustedText(error, sent, host) }
  // A renewal helps only where the chain is otherwise good.
  if (!reachesRoot(sent, trust.roots())) return { kind: 'untrusted', text: untrustedText('', sent, host) }
  return { kind: 'expired', text: late ? lateText(late, host, now) : `a certificate in the chain of ${host} is out of date` }
}

const dateErrors: readonly string[] = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']

const errorCode = (error: unknown): string =>
  error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error)

const lateOf = (chain: readonly X509Certificate[], now: number) =>
  chain.find((one) => now > Date.parse(one.validTo) || now < Date.parse(one.validFrom))

function lateText(certificate: X509Certificate, host: string, now: number): string {
  const whose = certificate.ca ? `certificate of ${commonName(certificate.subject)}, in the chain of ${host},` : `certificate of ${host}`
  const to = Date.parse(certificate.validTo)
  return now > to ? `${whose} expired on ${isoDay(to)}` : `${whose} is not valid before ${isoDay(Date.parse(certificate.validFrom))}`
}

const isoDay = (time: number) => new Date(time).toISOString().slice(0, 10)

function untrustedText(error: string, sent: readonly X509Certificate[], host: string): string {
  const leaf = sent[0]
  const issuer = commonName(sent.at(-1)?.issuer ?? '')
  if (leaf && sent.length === 1 && leaf.subject === leaf.issuer && leaf.verify(leaf.publicKey))
    return `certificate of ${host} is self-signed`
  if (error === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' || error === 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY' || error === 'UNABLE_TO_GET_ISSUER_CERT')
    return `certificate chain of ${host} is incomplete: "${issuer}" was neither sent by the server nor is it known here`
  if (error === '' || error === 'SELF_SIGNED_CERT_IN_CHAIN')
    return `certificate of ${host} was issued by "${issuer}", which is not trusted here`
  return `certificate of ${host} is not trusted (${error.toLowerCase().replaceAll('_', ' ')})`
}

/** Whether signatures lead from the leaf to a root of ours, dates aside. Only for telling reasons apart: OpenSSL has refused already. */
function reachesRoot(sent: readonly X509Certificate[], roots: readonly X509Certificate[]): boolean {
  const signs = (issuer: X509Certificate, one: X509Certificate) => one.checkIssued(issuer) && one.verify(issuer.publicKey)
  let current = sent[0]
  for (let depth = 0; current && depth < 10; depth++) {
    const below: X509Certificate = current
    if (roots.some((root) => root.fingerprint256 === below.fingerprint256 || signs(root, below))) return true
    current = sent.find((one) => one !== below && one.ca && signs(one, below))
  }
  return false
}

const factsOf = (certificate: X509Certificate): CertificateFacts => ({
  subject: oneLine(certificate.subject),
  issuer: oneLine(certificate.issuer),
  notBefore: new Date(certificate.validFrom).toISOString(),
  notAfter: new Date(certificate.validTo).toISOString(),
  fingerprint256: certificate.fingerprint256,
})

// Subjects are written by strangers and shown to admins.
const oneLine = (name: string | undefined) =>
  (name ?? '')
    .split('\n')
    .join(', ')
    .replace(/[^\x20-\x7e\u00a1-\u024f]/g, '?')
    .slice(0, 200)

const commonName = (name: string) => oneLine(/^CN=(.*)$/m.exec(name)?.[1] ?? name)
