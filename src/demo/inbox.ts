/** The demo's inbox: every mail that arrived anywhere, read as its reader would see it. */
import { decrypt, readMessage, readPrivateKey } from 'openpgp'
import PostalMime, { type Email } from 'postal-mime'
import { sanitise, textOf } from '../web/portal/reading/sanitise.ts'
import type { PartnerMail } from './partner.ts'

export type ArrivedMail = {
  readonly id: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly to: string
  readonly from: string
  readonly subject: string
  /** Never markup: HTML is shown as the text in it. */
  readonly text: string
  /** Names of what is attached, for PGP mail inside. */
  readonly files: readonly string[]
  /** How it travelled: `TLSv1.3` or `in clear`. */
  readonly channel: string
  /** Only for PGP mail: what its reader sees inside. */
  readonly inside: { readonly subject: string; readonly text: string; readonly files: readonly string[] } | undefined
  /** The link to a letter that a notice carries. */
  readonly link: string | undefined
  /** The code that a code mail carries, as shown: `4829 1306`. */
  readonly code: string | undefined
  /** The beginning of the mail as it travelled. */
  readonly raw: string
}

export type Inbox = {
  readonly take: (mail: PartnerMail) => void
  /** Newest first. */
  readonly all: () => readonly ArrivedMail[]
  readonly find: (id: number) => ArrivedMail | undefined
}

const mostMails = 500
const mostRaw = 64 * 1024

/** An inbox that can open PGP mail with this armored private key. */
export function createInbox(privateKey: string): Inbox {
  const mails: ArrivedMail[] = []
  let count = 0
  return {
    take: (mail) => {
      const id = ++count
      void read(mail, id, privateKey).then((arrived) => {
        mails.push(arrived)
        mails.sort((one, other) => other.id - one.id)
        mails.splice(mostMails)
      })
    },
    all: () => mails,
    find: (id) => mails.find((mail) => mail.id === id),
  }
}

async function read(mail: PartnerMail, id: number, privateKey: string): Promise<ArrivedMail> {
  const whole = mail.content.toString('utf8')
  const parsed = await parse(mail.content)
  const text = plain(parsed)
  const inside = await opened(whole, privateKey)
  return {
    id,
    at: mail.at,
    to: mail.recipients.map(({ address }) => address).join(', '),
    from: parsed?.from?.name || parsed?.from?.address || mail.from || 'mail gateway',
    subject: parsed?.subject || '(no subject)',
    text,
    files: inside ? inside.files : filesOf(parsed),
    channel: mail.tls?.protocol ?? 'in clear',
    inside,
    link: /^https?:\/\/[^\s/]+\/m\/[0-9a-z]{32}$/m.exec(text)?.[0],
    code: codeIn(parsed?.subject ?? '', text),
    raw: whole.length > mostRaw ? `${whole.slice(0, mostRaw)}\n…` : whole,
  }
}

/** A mail that cannot be read is shown as it travelled. */
async function parse(content: Buffer | string): Promise<Email | undefined> {
  try {
    return await PostalMime.parse(content)
  } catch {
    return undefined
  }
}

function plain(mail: Email | undefined): string {
  const text = mail?.text?.trimEnd()
  if (text) return text
  return mail?.html ? textOf(sanitise(mail.html.slice(0, 200_000), () => undefined).html) : ''
}

const filesOf = (mail: Email | undefined): string[] => (mail?.attachments ?? []).flatMap(({ filename }) => filename ?? [])

/** A code mail says its code twice, in any language: first in its subject and on its first line. */
function codeIn(subject: string, text: string): string | undefined {
  const code = /^[0-9A-Z]{4}(?: [0-9A-Z]{4}){1,2}$/.exec(text.split(/\r?\n/)[0] ?? '')?.[0]
  return code !== undefined && subject.startsWith(`${code} `) ? code : undefined
}

async function opened(mail: string, armoredKey: string): Promise<ArrivedMail['inside']> {
  const armoredMessage = /-----BEGIN PGP MESSAGE-----[\s\S]+?-----END PGP MESSAGE-----/.exec(mail)?.[0]
  if (armoredMessage === undefined) return undefined
  try {
    const message = await readMessage({ armoredMessage })
    const { data } = await decrypt({ message, decryptionKeys: await readPrivateKey({ armoredKey }) })
    const inner = await parse(String(data))
    return { subject: inner?.subject ?? '', text: plain(inner) || String(data), files: filesOf(inner) }
  } catch (error) {
    return { subject: '', text: `The demo's key does not open it: ${error instanceof Error ? error.message : String(error)}`, files: [] }
  }
}
