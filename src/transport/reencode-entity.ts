/** What the header of a MIME entity says of its body: may it be encoded, is it looked into, or must it stay as it is. */
import { contentType, transferEncoding } from '../mail/content-type.ts'
import { field, type Header, named } from '../mail/header.ts'
import type { Encoding } from './reencode-octets.ts'

/**
 * - leaf: may be encoded; it must be when it says itself that it is not 7-bit (`declared`).
 * - multipart, message: never encoded themselves (RFC 2045 §6.4); what is in them is looked at.
 * - fixed: stays as it is; `why` ends the sentence "it cannot be re-encoded: ".
 */
export type Nature =
  | { readonly kind: 'leaf'; readonly encoding: Encoding; readonly declared: boolean }
  | { readonly kind: 'multipart'; readonly boundary: string; readonly declared: boolean; readonly digest: boolean }
  | { readonly kind: 'message'; readonly declared: boolean }
  | { readonly kind: 'fixed'; readonly why: string }

/** `message`: the header is a message's own. `digest`: the entity is part of a multipart/digest. */
export type Place = { readonly message: boolean; readonly digest: boolean }

const fixed = (why: string): Nature => ({ kind: 'fixed', why })

// RFC 6376 §3.5; RFC 8617 §4.1.2 signs the body in the same way.
const signatures = ['DKIM-Signature', 'ARC-Message-Signature']

/** The nature of an entity by its header; what two readers could understand in two ways stays as it is. */
export function natureOf(header: Header, { message, digest }: Place): Nature {
  if (message && signatures.some((name) => field(header, name) !== undefined)) return fixed('it is signed')
  if (header.some(isUnclear)) return fixed('its header is malformed')
  if (['Content-Type', 'Content-Transfer-Encoding'].some((name) => named(header, name).length > 1)) return fixed('its header is ambiguous')
  // RFC 2046 §5.1.5: there the default is another one.
  if (digest && field(header, 'Content-Type') === undefined) return fixed('it is part of a digest')
  const { type, parameters } = contentType(header)
  if (type === 'multipart/signed') return fixed('it is signed')
  if (type === 'multipart/encrypted') return fixed('it is encrypted')
  if (/^application\/(?:x-)?pkcs7-mime$/.test(type)) return fixed('it is signed or encrypted')
  const encoding = transferEncoding(header)
  const declared = encoding === '8bit' || encoding === 'binary'
  if (!declared && encoding !== '7bit') return fixed('it has 8-bit octets where its encoding has none')
  if (type === 'message/rfc822') return { kind: 'message', declared }
  if (type.startsWith('message/')) return fixed(`it has an 8-bit ${type}`)
  if (!type.startsWith('multipart/')) return { kind: 'leaf', encoding: type.startsWith('text/') ? 'quoted-printable' : 'base64', declared }
  const { boundary = '' } = parameters
  if (!/^[\x20-\x7e]{0,199}[!-~]$/.test(boundary)) return fixed('it has a multipart without a usable boundary')
  return { kind: 'multipart', boundary, declared, digest: type === 'multipart/digest' }
}

/** No field at all, or with a line of mere white space, which some readers take for the end of the header. */
const isUnclear = ({ name, raw }: Header[number]): boolean => name === '' || /\n[ \t]*\r?\n/.test(raw.toString('latin1'))

/** The header, its empty line included, with another transfer encoding. */
export function relabelled(header: Header, encoding: Encoding | '7bit', { message }: Place): Buffer {
  const label = Buffer.from(`Content-Transfer-Encoding: ${encoding}\r\n`)
  const isLabel = ({ name }: Header[number]) => /^content-transfer-encoding$/i.test(name)
  const fields = header.map((one) => (isLabel(one) ? label : one.raw))
  if (!header.some(isLabel)) fields.push(label)
  // RFC 2045 §4: without it the field means nothing.
  if (message && field(header, 'MIME-Version') === undefined) fields.push(Buffer.from('MIME-Version: 1.0\r\n'))
  return Buffer.concat([...fields, Buffer.from('\r\n')])
}
