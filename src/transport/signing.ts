/** The one place where mail gets our DKIM signature: at the last moment, around the transport, so that the keys of today sign. */
import { Readable } from 'node:stream'
import type { Logger } from 'pino'
import { authorDomain, carriesAlignedSignature, signatureField } from '../mail/dkim.ts'
import { relaxedBodyHash } from '../mail/dkim-canon.ts'
import { withoutTags } from '../mail/facts.ts'
import { decodeWords, field, formatField, type Header, named, oneLine, parseHeader } from '../mail/header.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { DkimKey, DkimKeys } from '../seal/dkim-keys.ts'
import { type Mended, reencoded } from './reencode.ts'
import type { Shipment, Transport } from './transport.ts'

export type SigningParts = {
  readonly keys: DkimKeys
  /** The subject tags of the policy in force: a mail that we sign for its author loses them, for only then no signature breaks. */
  readonly tags?: () => Promise<readonly string[]>
  readonly settings: Pick<Settings, 'organisation.domains' | 'dkim.signUnsigned'>
  readonly clock: Clock
  readonly log: Logger
}

/** The transport, with signatures put in front of what a shipment says should be signed. Mail without a key for its author goes unsigned. */
export function signing(transport: Transport, parts: SigningParts): Transport {
  warnOfMissingKeys(parts)
  return { ...transport, ship: async (shipment) => transport.ship(await signedShipment(shipment, parts)) }
}

function warnOfMissingKeys({ keys, settings, log }: SigningParts): void {
  const domains = settings['organisation.domains'].filter((domain) => keys.signersFor(domain).length === 0)
  if (domains.length > 0)
    log.warn({ domains }, 'no DKIM key: our own mail from these domains goes unsigned; `letterlock keys dkim create DOMAIN` makes one')
}

async function signedShipment(shipment: Shipment, parts: SigningParts): Promise<Shipment> {
  const wanted = shipment.sign === 'always' || (shipment.sign === 'unless-signed' && parts.settings['dkim.signUnsigned'])
  if (!wanted || parts.keys.all().length === 0) return shipment
  const head = await signedHead(shipment, parts)
  if (head === undefined) return shipment
  return { ...shipment, ...under(head, shipment), whole: undefined, sevenBit: () => signedSevenBit(shipment, parts) }
}

/** The content under this head, and its size. */
const under = (head: Head, { size, open }: Pick<Shipment, 'size' | 'open'>): Pick<Shipment, 'size' | 'open'> => ({
  size: size + head.bytes.length - head.instead,
  open: () => Readable.from(withHead(head, open), { objectMode: false }),
})

/** For a server without 8BITMIME: re-encoded first, then signed (RFC 6376 §5.3). What others have signed cannot be re-encoded. */
async function signedSevenBit(shipment: Shipment, parts: SigningParts): Promise<Mended> {
  const mended = await reencoded(shipment.open)
  if (mended.kind === 'unmendable') return mended
  const head = await signedHead({ ...shipment, open: mended.open }, parts)
  return head === undefined ? mended : { ...mended, ...under(head, mended) }
}

/** What goes out in the place of the first `instead` bytes of the content. */
type Head = { readonly bytes: Buffer; readonly instead: number }

async function* withHead({ bytes, instead }: Head, open: () => Readable): AsyncGenerator<Buffer> {
  yield bytes
  let skip = instead
  for await (const chunk of open() as AsyncIterable<Buffer>) {
    const from = Math.min(skip, chunk.length)
    skip -= from
    // Not to be looked at behind this: whoever sends it frees it (single-use.ts).
    if (from < chunk.length) yield chunk.subarray(from)
  }
}

/** The signature fields for a content and the header they sign; undefined when nothing signs it. Reads it once to its end and holds none of it. */
async function signedHead({ open, sign, signal }: Shipment, parts: SigningParts): Promise<Head | undefined> {
  const bodyHash = relaxedBodyHash()
  let head = Buffer.alloc(0)
  let ready: Ready | undefined
  try {
    for await (const chunk of open() as AsyncIterable<Buffer>) {
      signal.throwIfAborted()
      if (ready !== undefined) {
        bodyHash.update(chunk)
        continue
      }
      head = Buffer.concat([head, chunk])
      const bodyStart = head.indexOf('\r\n\r\n') + 4
      if (bodyStart < 4) continue
      ready = await readyToSign(head.subarray(0, bodyStart - 2), sign, parts)
      if (ready === undefined) return undefined
      bodyHash.update(head.subarray(bodyStart))
    }
  } catch (error) {
    // The transport meets the same fault when it opens the content, and has an outcome for it.
    if (!signal.aborted) parts.log.warn({ err: error }, 'a content could not be read to sign it')
    return undefined
  }
  if (ready === undefined) return undefined
  const { header, signers, instead } = ready
  const hash = bodyHash.digest()
  const fields = signers.map((signer) => signatureField(signer, header, hash, parts.clock()))
  return { instead, bytes: Buffer.concat([...fields, ...(instead > 0 ? header.map(({ raw }) => raw) : [])]) }
}

/** `instead`: bytes of the old header that this one replaces; 0 when it is the old one. */
type Ready = { readonly header: Header; readonly signers: readonly DkimKey[]; readonly instead: number }

async function readyToSign(block: Buffer, sign: Shipment['sign'], { keys, tags }: SigningParts): Promise<Ready | undefined> {
  const header = parseHeader(block)
  const author = authorDomain(header)
  if (author === undefined || (sign === 'unless-signed' && carriesAlignedSignature(header, author))) return undefined
  const signers = keys.signersFor(author)
  if (signers.length === 0) return undefined
  // Somebody else's signature covers the subject as well: theirs would break.
  const untagged =
    sign === 'unless-signed' && field(header, 'DKIM-Signature') === undefined ? untag(header, (await tags?.()) ?? []) : header
  return { header: untagged, signers, instead: untagged === header ? 0 : block.length }
}

/** The header without the policy's tags in its subject; the same one when there are none. */
function untag(header: Header, tags: readonly string[]): Header {
  const subject = decodeWords(field(header, 'Subject') ?? '')
  const bare = withoutTags(subject, tags)
  if (bare === subject || named(header, 'Subject').length !== 1) return header
  const written = formatField('Subject', oneLine(bare))
  return header.map((one) => (/^subject$/i.test(one.name) ? { name: one.name, value: oneLine(bare), raw: Buffer.from(written) } : one))
}
