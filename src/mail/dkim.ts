/** DKIM (RFC 6376; Ed25519: RFC 8463): the signature field for a message, and the DNS record that lets others check it. */
import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { getDomain } from 'tldts'
import { canonicalDomain, domainOf, parseMailboxes } from './address.ts'
import { relaxedField } from './dkim-canon.ts'
import { type Field, fields, type Header } from './header.ts'

export type DkimAlgorithm = 'ed25519' | 'rsa'

/** Who signs: the key whose public half is published at `<selector>._domainkey.<domain>`. */
export type DkimSigner = {
  readonly domain: string
  readonly selector: string
  readonly algorithm: DkimAlgorithm
  readonly privateKey: KeyObject
}

/**
 * Signed once more than they are there (RFC 6376 §8.15, "oversigned"): nobody can put a second one on top and still have our signature.
 * All of them are what a reader sees or what says how the body is to be read.
 */
const oversigned = [
  ...['from', 'reply-to', 'to', 'cc', 'subject', 'date', 'message-id', 'in-reply-to', 'references'],
  ...['mime-version', 'content-type', 'content-transfer-encoding', 'auto-submitted'],
]

/** Signed where they are there: lists and forwarders may add their own. */
const signedWhenThere =
  /^(?:sender|expires|content-id|content-description|content-disposition|list-(?:id|help|unsubscribe|unsubscribe-post|subscribe|post|owner|archive)|autocrypt)$/

/** One DKIM-Signature field, ready to stand before the header it signs. `bodyHash`: relaxedBodyHash of the body; `now`: milliseconds since 1970. */
export function signatureField(signer: DkimSigner, header: Header, bodyHash: Buffer, now: number): Buffer {
  const names = namesToSign(header)
  const unsigned = [
    `DKIM-Signature: v=1; a=${signer.algorithm}-sha256; c=relaxed/relaxed;`,
    ` d=${signer.domain};`,
    ` s=${signer.selector}; t=${Math.floor(now / 1000)};`,
    ...foldNames(names),
    ` bh=${bodyHash.toString('base64')};`,
    ' b=',
  ].join('\r\n')
  const signature = signatureOf(signer, signedBytes(header, names, Buffer.from(unsigned))).toString('base64')
  return Buffer.from(`${unsigned}${(signature.match(/.{1,72}/g) ?? []).join('\r\n ')}\r\n`)
}

/** RFC 8463 §3: Ed25519 signs the hash, as RSA does (RFC 6376 §3.3.1) within its own padding. */
const signatureOf = ({ algorithm, privateKey }: DkimSigner, bytes: Buffer): Buffer =>
  algorithm === 'ed25519' ? sign(null, createHash('sha256').update(bytes).digest(), privateKey) : sign('sha256', bytes, privateKey)

/** The `h=` list: every occurrence, and for what is oversigned one more. */
function namesToSign(header: Header): string[] {
  const there = header.map(({ name }) => name.toLowerCase()).filter((name) => oversigned.includes(name) || signedWhenThere.test(name))
  return [...there, ...oversigned].sort()
}

function foldNames(names: readonly string[]): string[] {
  const lines: string[] = []
  let line = ' h='
  for (const [i, name] of names.entries()) {
    const piece = `${name}${i === names.length - 1 ? ';' : ':'}`
    if (line.length + piece.length > 76) {
      lines.push(line)
      line = '  '
    }
    line += piece
  }
  return [...lines, line]
}

/**
 * What is signed (RFC 6376 §3.7): the named fields in relaxed form, of fields of one name the lowest first (§5.4.2), those that are not there
 * as nothing; then the signature field itself with an empty `b=`, without its line end.
 */
export function signedBytes(header: Header, names: readonly string[], signature: Buffer): Buffer {
  const left = new Map<string, Field[]>()
  for (const one of header) {
    const name = one.name.toLowerCase()
    left
      .set(name, left.get(name) ?? [])
      .get(name)
      ?.push(one)
  }
  const lines = names.map((name) => {
    const lowest = left.get(name)?.pop()
    return lowest === undefined ? '' : `${relaxedField(lowest.raw)}\r\n`
  })
  return Buffer.from(`${lines.join('')}${relaxedField(signature)}`, 'latin1')
}

/** The domain of the header From, or undefined when there is none or more than one: such mail is signed for nobody. */
export function authorDomain(header: Header): string | undefined {
  const from = fields(header, 'From')
  const domains = new Set(parseMailboxes(from[0] ?? '').map(({ address }) => domainOf(address)))
  const [domain] = domains
  return from.length === 1 && domains.size === 1 && domain !== '' ? domain : undefined
}

/** Does a signature field of the message claim a domain that is aligned with this one (relaxed, RFC 7489 §3.1.1)? It is not verified here. */
export function carriesAlignedSignature(header: Header, domain: string): boolean {
  return fields(header, 'DKIM-Signature').some((value) => {
    const claimed = canonicalDomain(/(?:^|;)\s*d\s*=\s*([^;\s]+)/i.exec(value)?.[1] ?? '')
    return claimed !== undefined && organisational(claimed) === organisational(domain)
  })
}

/** The domain itself and those above it up to the organisational domain (RFC 7489 §3.2): a signature of any of them is aligned. */
export function alignedDomains(domain: string): string[] {
  const top = organisational(domain)
  const labels = domain.split('.')
  return labels.map((_, i) => labels.slice(i).join('.')).filter((name) => name.length >= top.length)
}

const organisational = (domain: string): string => getDomain(domain, { allowPrivateDomains: true }) ?? domain

/** The TXT record to publish (RFC 6376 §3.6.1, RFC 8463 §4) for the key's public half. */
export function publicRecord({ algorithm, privateKey }: Pick<DkimSigner, 'algorithm' | 'privateKey'>): string {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  // RFC 8410 §4: the last 32 bytes are the Ed25519 key itself, which is all that RFC 8463 publishes.
  return `v=DKIM1; k=${algorithm}; p=${(algorithm === 'ed25519' ? spki.subarray(-32) : spki).toString('base64')}`
}

/** The name at which the record is published. */
export const recordName = ({ selector, domain }: Pick<DkimSigner, 'selector' | 'domain'>): string => `${selector}._domainkey.${domain}`

/** The record as a line of a zone file: strings of at most 255 octets (RFC 1035 §3.3.14), which readers join (RFC 6376 §3.6.2.2). */
export const zoneLine = (name: string, record: string): string =>
  `${name}. IN TXT ${(record.match(/.{1,255}/g) ?? []).map((part) => `"${part}"`).join(' ')}`
