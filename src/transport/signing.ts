/** The one place where mail gets our DKIM signature: at the last moment, around the transport, so that the keys of today sign. */
import { Readable } from 'node:stream'
import type { Logger } from 'pino'
import { authorDomain, carriesAlignedSignature, signatureField } from '../mail/dkim.ts'
import { relaxedBodyHash } from '../mail/dkim-canon.ts'
import { type Header, parseHeader } from '../mail/header.ts'
import type { Clock } from '../ops/clock.ts'
import type { Settings } from '../ops/settings.ts'
import type { DkimKey, DkimKeys } from '../seal/dkim-keys.ts'
import type { Shipment, Transport } from './transport.ts'

export type SigningParts = {
  readonly keys: DkimKeys
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
  const fields = await signatures(shipment, parts)
  if (fields.length === 0) return shipment
  const { size, open } = shipment
  return { ...shipment, size: size + fields.length, open: () => Readable.from(preceded(fields, open), { objectMode: false }) }
}

async function* preceded(fields: Buffer, open: () => Readable): AsyncGenerator<Buffer> {
  yield fields
  for await (const chunk of open() as AsyncIterable<Buffer>) yield chunk
}

/** The signature fields for a content, read once from end to end and never held; empty when nothing signs it. */
async function signatures({ open, sign, signal }: Shipment, { keys, clock, log }: SigningParts): Promise<Buffer> {
  const bodyHash = relaxedBodyHash()
  let head = Buffer.alloc(0)
  let header: Header | undefined
  let signers: readonly DkimKey[] = []
  try {
    for await (const chunk of open() as AsyncIterable<Buffer>) {
      signal.throwIfAborted()
      if (header !== undefined) {
        bodyHash.update(chunk)
        continue
      }
      head = Buffer.concat([head, chunk])
      const end = headerEnd(head)
      if (end === undefined) continue
      header = parseHeader(head.subarray(0, end - 2))
      signers = signersOf(header, sign, keys)
      if (signers.length === 0) break
      bodyHash.update(head.subarray(end))
    }
  } catch (error) {
    // The transport meets the same fault when it opens the content, and has an outcome for it.
    if (!signal.aborted) log.warn({ err: error }, 'a content could not be read to sign it')
    return Buffer.alloc(0)
  }
  const signed = header ?? []
  const hash = bodyHash.digest()
  return Buffer.concat(signers.map((signer) => signatureField(signer, signed, hash, clock())))
}

/** Where the body begins: after the empty line; undefined while it has not come. */
function headerEnd(head: Buffer): number | undefined {
  const at = head.indexOf('\r\n\r\n')
  return at < 0 ? undefined : at + 4
}

function signersOf(header: Header, sign: Shipment['sign'], keys: DkimKeys): readonly DkimKey[] {
  const author = authorDomain(header)
  if (author === undefined || (sign === 'unless-signed' && carriesAlignedSignature(header, author))) return []
  return keys.signersFor(author)
}
