/** The demo's inbox: every mail that arrived anywhere, read as its reader would see it. */
import { decrypt, readMessage, readPrivateKey } from 'openpgp'
import PostalMime from 'postal-mime'
import type { PartnerMail } from './partner.ts'

export type ArrivedMail = {
  readonly id: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly to: string
  readonly from: string
  readonly subject: string
  readonly text: string
  /** How it travelled: `TLSv1.3` or `in clear`. */
  readonly channel: string
  /** What a PGP reader sees inside. */
  readonly decrypted: string | undefined
  readonly raw: string
}

export type Inbox = {
  readonly take: (mail: PartnerMail) => void
  /** Newest first. */
  readonly all: () => readonly ArrivedMail[]
  readonly find: (id: number) => ArrivedMail | undefined
}

/** An inbox that can open PGP mail with this armored private key. */
export function createInbox(privateKey: string): Inbox {
  const mails: ArrivedMail[] = []
  return {
    take: (mail) => {
      void read(mail, mails.length + 1, privateKey).then((arrived) => mails.unshift(arrived))
    },
    all: () => mails,
    find: (id) => mails.find((mail) => mail.id === id),
  }
}

async function read(mail: PartnerMail, id: number, privateKey: string): Promise<ArrivedMail> {
  const raw = mail.content.toString('utf8')
  const parsed = await PostalMime.parse(mail.content)
  const armored = /-----BEGIN PGP MESSAGE-----[\s\S]+-----END PGP MESSAGE-----/.exec(raw)?.[0]
  return {
    id,
    at: mail.at,
    to: mail.recipients.map(({ address }) => address).join(', '),
    from: parsed.from?.name || parsed.from?.address || mail.from || 'mail gateway',
    subject: parsed.subject ?? '',
    text: parsed.text ?? '(no text)',
    channel: mail.tls?.protocol ?? 'in clear',
    decrypted: armored === undefined ? undefined : await open(armored, privateKey),
    raw,
  }
}

async function open(armoredMessage: string, armoredKey: string): Promise<string> {
  const opened = await decrypt({ message: await readMessage({ armoredMessage }), decryptionKeys: await readPrivateKey({ armoredKey }) })
  const inner = await PostalMime.parse(String(opened.data))
  return `${inner.subject === undefined ? '' : `Subject: ${inner.subject}\n\n`}${inner.text ?? String(opened.data)}`
}
