/** Parts of a certificate that Node does not show: its public key as it stands in it, and how long the path below it may be. */
import type { X509Certificate } from 'node:crypto'

/** A DER element: its tag, its contents, and the octets of the whole. */
type Element = { readonly tag: number; readonly contents: Buffer; readonly whole: Buffer }

/** The SubjectPublicKeyInfo octet by octet, as TLSA digests cover it (RFC 6698 §2.1.2); undefined when it cannot be read. */
export function subjectPublicKeyInfo({ raw }: X509Certificate): Buffer | undefined {
  // RFC 5280 §4.1: [0] version (optional), serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo.
  const fields = toBeSigned(raw)
  return fields[fields[0]?.tag === 0xa0 ? 6 : 5]?.whole
}

/** RFC 5280 §4.2.1.9: how many intermediate certificates may stand between this one and the server's; undefined: any number. */
export function pathLength(certificate: X509Certificate): number | undefined {
  const value = extensionsOf(certificate).find(({ id }) => id === basicConstraints)?.value
  const limit = value && children(children(value)[0]?.contents).find(({ tag }) => tag === 0x02)?.contents
  return limit && limit.length > 0 && limit.length <= 4 ? limit.readUIntBE(0, limit.length) : undefined
}

/** Object identifiers, as hex, of critical extensions that we do not judge: such a certificate must be rejected (RFC 5280 §4.2). */
export const unknownCritical = (certificate: X509Certificate): readonly string[] =>
  extensionsOf(certificate)
    .filter(({ id, critical }) => critical && !judged.includes(id))
    .map(({ id }) => id)

/** Whether the certificate is signed over MD2, MD5 or SHA-1, with which signatures can be forged (RFC 9155, RFC 6151). */
export const hasWeakSignature = ({ raw }: X509Certificate): boolean =>
  weak.includes(children(children(children(raw)[0]?.contents)[1]?.contents)[0]?.contents.toString('hex') ?? '')

// pkcs-1 2, 4, 5 (with RSA), ecdsa-with-SHA1, id-dsa-with-sha1.
const weak = ['2a864886f70d010102', '2a864886f70d010104', '2a864886f70d010105', '2a8648ce3d0401', '2a8648ce380403']

// id-ce 15, 17, 19, 37: keyUsage, subjectAltName, basicConstraints, extKeyUsage; policies (32) are as good as any policy.
const basicConstraints = '551d13'
const judged = ['551d0f', '551d11', basicConstraints, '551d25', '551d20']

type Extension = { readonly id: string; readonly critical: boolean; readonly value: Buffer }

function extensionsOf({ raw }: X509Certificate): Extension[] {
  const list = toBeSigned(raw).find(({ tag }) => tag === 0xa3)
  return children(children(list?.contents)[0]?.contents).flatMap(({ contents }) => {
    const [id, ...rest] = children(contents)
    const value = rest.find(({ tag }) => tag === 0x04)
    if (!id || !value) return []
    const critical = rest.some(({ tag, contents: flag }) => tag === 0x01 && flag[0] !== 0)
    return [{ id: id.contents.toString('hex'), critical, value: value.contents }]
  })
}

const toBeSigned = (raw: Buffer): Element[] => children(children(children(raw)[0]?.contents)[0]?.contents)

/** The elements that stand one after the other in `der`; what is cut short ends the list. OpenSSL has parsed the certificate before. */
function children(der: Buffer = Buffer.alloc(0)): Element[] {
  const found: Element[] = []
  for (let at = 0; at + 2 <= der.length; ) {
    const first = der[at + 1] ?? 0
    const octets = first < 0x80 ? 0 : first & 0x7f
    const start = at + 2 + octets
    if (octets > 4 || start > der.length) return found
    const length = octets === 0 ? first : der.readUIntBE(at + 2, octets)
    if (first === 0x80 || start + length > der.length) return found
    found.push({ tag: der[at] ?? 0, contents: der.subarray(start, start + length), whole: der.subarray(at, start + length) })
    at = start + length
  }
  return found
}
