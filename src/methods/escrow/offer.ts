/** Gives the sender of a letter whose notice waits a link of their own: with it they may go on waiting, hand the letter over, or cancel it. */
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { entry } from '../../audit/audit.ts'
import { domainOf } from '../../mail/address.ts'
import type { Settings } from '../../ops/settings.ts'
import type { Keyring } from '../../seal/keyring.ts'
import { type Db, type Statement, sql } from '../../store/db.ts'
import { isInside as leadsInside } from '../route/route.ts'
import { signLetter } from './binding.ts'
import { insertHeader, openLetter, openMeta, sealHeader } from './header.ts'
import { readLetter } from './letter.ts'
import { decodeSecret, lookupOf, newSecret } from './secret.ts'

export type OfferParts = { readonly db: Db; readonly keyring: Keyring; readonly settings: Settings; readonly clock: () => number }

/** What goes into the mail to the sender, and what must be written with it. */
export type Offer = { readonly link: string; readonly statements: readonly Statement[] }

/**
 * The sender's link of a letter, made from the reader's link, which stands nowhere but in the waiting notice. An earlier sender's link is void
 * then. Undefined when there must be none: `notice.senderLink: never`, or no mailbox that only the organisation's own route leads to.
 */
export async function offerToSender(
  parts: OfferParts,
  { letter: id, notice, mailbox }: { readonly letter: string; readonly notice: () => Readable; readonly mailbox: string },
): Promise<Offer | undefined> {
  const { keyring, settings, clock } = parts
  if (settings['notice.senderLink'] === 'never' || !isInside(settings, mailbox)) return undefined
  // What cannot be read now must not keep the attempt from being recorded: then the sender is told without a link.
  const content = await buffer(notice()).catch(() => undefined)
  const found = content && (await linkIn(parts, content))
  if (found?.letter.binding.letter !== id) return undefined
  const { letter, secret: readers } = found
  const fileKey = openLetter(keyring, letter, readers)
  const meta = fileKey && openMeta(letter, fileKey)
  if (fileKey === undefined || meta === undefined) return undefined
  const secret = newSecret()
  const header = sealHeader(keyring, fileKey, letter.binding, { kind: 'sender', secret, meta })
  fileKey.fill(0)
  return {
    link: `${settings['portal.url'].replace(/\/+$/, '')}/s/${secret}`,
    statements: [
      sql`DELETE FROM letter_header WHERE letter = ${id} AND kind = 'sender'`,
      insertHeader(id, header, signLetter(keyring, letter.binding, header)),
      entry(clock(), { actor: 'delivery', action: 'letter.sender-asked', object: id, detail: { sender: mailbox } }),
    ],
  }
}

/** Links and words go to senders by the organisation's own route and no other way (spec/escrow.md): its domains, where a route leads. */
export const isInside = (settings: Settings, mailbox: string): boolean => leadsInside(settings, domainOf(mailbox))

async function linkIn(parts: OfferParts, notice: Buffer) {
  for (const [, text = ''] of notice.toString('latin1').matchAll(/\/m\/([0-9a-z]{32})(?![0-9a-z])/g)) {
    const secret = decodeSecret(text)
    const found = secret && (await readLetter(parts, lookupOf(secret)))
    if (secret !== undefined && found?.kind === 'letter') return { letter: found.letter, secret }
  }
  return undefined
}
