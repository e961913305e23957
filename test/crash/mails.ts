/** Mails for the crash tests: each different to the last octet, of many sizes, to one or several recipients of domains of every manner. */
import { randomBytes } from 'node:crypto'
import type { Mail } from './ledger.ts'

export type MailsOptions = {
  /** Told apart from the mails of other runs. */
  readonly run: string
  readonly from?: string
  /** Domains with their weights; a mail goes to one to four of them, one or two recipients each. */
  readonly domains: { readonly [domain: string]: number }
  /** Octets of body with their weights; those beyond `limits.inlineContent` become blobs. */
  readonly sizes: { readonly [octets: number]: number }
}

/** A source of mails that never ends. */
export function createMails({ run, from = 'sender@org.example', domains, sizes }: MailsOptions): () => Mail {
  let number = 0
  const stock = bodyStock(Math.max(...Object.keys(sizes).map(Number)))
  return () => {
    number += 1
    const mark = `crash-${run}-${number}@org.example`
    const chosen = new Set(Array.from({ length: Math.random() < 0.7 ? 1 : 1 + Math.floor(Math.random() * 4) }, () => drawn(domains)))
    const recipients = [...chosen].flatMap((domain) =>
      Array.from({ length: Math.random() < 0.8 ? 1 : 2 }, (_, index) => `r${index}.${number % 50}@${domain}`),
    )
    return { mark, from, recipients, content: contentOf(mark, from, recipients, bodyOf(stock, Number(drawn(sizes)))) }
  }
}

function contentOf(mark: string, from: string, recipients: readonly string[], body: Buffer): Buffer {
  const header = [
    `Message-ID: <${mark}>`, // first, so that what was sent can be found again below what was added
    'Date: Mon, 23 Nov 2026 02:00:00 +0000',
    `From: Sender <${from}>`,
    `To: ${recipients.join(',\r\n ')}`,
    `Subject: ${mark}`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=us-ascii',
    '',
    '',
  ]
  return Buffer.concat([Buffer.from(header.join('\r\n')), body])
}

/** Lines of 76 octets, some of which begin with a dot. */
function bodyStock(octets: number): Buffer {
  const text = randomBytes(Math.ceil((octets + 8192) * 0.75)).toString('base64')
  return Buffer.from(text.replace(/(.{76})/g, (line) => `${/^[a-c]/.test(line) ? `.${line.slice(1)}` : line}\r\n`))
}

/** A stretch of the stock from the beginning of some line: no two mails of a size are likely to have the same. */
function bodyOf(stock: Buffer, octets: number): Buffer {
  const lines = Math.max(1, Math.floor(octets / 78))
  const first = Math.floor(Math.random() * Math.max(1, Math.floor(stock.length / 78) - lines))
  return stock.subarray(first * 78, (first + lines) * 78)
}

function drawn(weights: { readonly [name: string]: number }): string {
  let left = Math.random() * Object.values(weights).reduce((sum, weight) => sum + weight, 0)
  for (const [name, weight] of Object.entries(weights)) {
    left -= weight
    if (left < 0) return name
  }
  return Object.keys(weights)[0] ?? ''
}
