/** TLSA records (RFC 6698): read from the octets of an answer, and told apart into usable and unusable ones. */
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'

export type Tlsa = {
  /** 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE. */
  readonly usage: number
  /** 0 the whole certificate, 1 its public key (SubjectPublicKeyInfo). */
  readonly selector: number
  /** 0 the thing itself, 1 its SHA-256, 2 its SHA-512. */
  readonly matching: number
  readonly data: Buffer
}

/** From RDATA (RFC 6698 §2.1); a record too short for its three first octets is one that nobody can use. */
export const readTlsa = (rdata: Buffer): Tlsa => ({
  usage: rdata[0] ?? 255,
  selector: rdata[1] ?? 255,
  matching: rdata[2] ?? 255,
  data: rdata.subarray(3),
})

const digestLength = new Map([
  [1, 32],
  [2, 64],
])

/**
 * The records that SMTP can use, of each usage and selector those of the strongest digest only.
 * RFC 7672 §3.1.3: PKIX usages have no meaning here. RFC 7671 §9: a weaker digest beside a stronger one is ignored.
 */
export function usableTlsa(records: readonly Tlsa[]): Tlsa[] {
  const usable = records.filter(isUsable)
  return usable.filter(
    ({ usage, selector, matching }) =>
      matching === 0 || !usable.some((other) => other.usage === usage && other.selector === selector && other.matching > matching),
  )
}

function isUsable({ usage, selector, matching, data }: Tlsa): boolean {
  if (usage !== 2 && usage !== 3) return false
  if (selector !== 0 && selector !== 1) return false
  if (matching !== 0) return digestLength.get(matching) === data.length
  return (selector === 0 ? wholeCertificate(data) : wholeKey(data)) !== undefined
}

/** What a record of matching type 0 holds (RFC 7671 §5.2.2); undefined: nonsense. */
export function wholeCertificate(der: Buffer): X509Certificate | undefined {
  try {
    return new X509Certificate(der)
  } catch {
    return undefined
  }
}

export function wholeKey(der: Buffer): KeyObject | undefined {
  try {
    return createPublicKey({ key: der, format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

/** As it is written in a zone, digests shortened: `3 1 1 8d02536c…`. */
export const tlsaText = ({ usage, selector, matching, data }: Tlsa): string =>
  `${usage} ${selector} ${matching} ${data.toString('hex', 0, 8)}${data.length > 8 ? '…' : ''}`

const TLSA = 52
const NULL = 10

/**
 * A copy of a DNS message in which every TLSA record is called a NULL record, whose data the codec hands over as they are:
 * dns-packet reads a TLSA record shorter than three octets past its end, and all that follows is then nonsense.
 */
export function hideTlsa(message: Buffer): Buffer {
  if (message.length < 12) return message
  const copy = Buffer.from(message)
  let at = 12
  for (let i = copy.readUInt16BE(4); i > 0; i--) at = afterName(copy, at) + 4
  for (let i = copy.readUInt16BE(6) + copy.readUInt16BE(8) + copy.readUInt16BE(10); i > 0; i--) {
    at = afterName(copy, at)
    // Cut short: the codec will say so.
    if (at + 10 > copy.length) return copy
    if (copy.readUInt16BE(at) === TLSA) copy.writeUInt16BE(NULL, at)
    at += 10 + copy.readUInt16BE(at + 8)
  }
  return copy
}

/** RFC 1035 §4.1.4: labels up to the empty one or a pointer. */
function afterName(message: Buffer, start: number): number {
  let at = start
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    if (length >= 0xc0) return at + 2
    at += 1 + length
  }
  return at + 1
}
