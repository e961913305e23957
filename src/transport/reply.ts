/** Reads SMTP replies (RFC 5321 §4.2) out of bytes that a stranger sends, within limits. */

export type Reply = {
  /** 200–599. */
  readonly code: number
  /** RFC 3463, when the text begins with one of the same class. */
  readonly enhanced: string | undefined
  /** Without the codes; control characters made visible as '?'. */
  readonly lines: readonly string[]
}

export type Parsed =
  | { readonly kind: 'reply'; readonly reply: Reply }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'garbage'; readonly text: string }

export type ReplyParser = {
  /** Bytes as they come, in any pieces. */
  readonly push: (chunk: Buffer) => void
  /** The next whole reply; after `garbage` there is nothing more to read. */
  readonly next: () => Parsed
  /** Bytes not yet taken as a reply. */
  readonly pending: () => number
}

// RFC 5321 §4.5.3.1.5 says 512 octets a line; servers exceed it. 200 lines hold any EHLO reply.
const longestLine = 4096
const mostLines = 200
const mostPending = 1024 * 1024
const LF = 0x0a

/** A parser of one connection's replies. */
export function createReplyParser(): ReplyParser {
  let buffer: Buffer = Buffer.alloc(0)
  let lines: { code: number; text: string }[] = []
  let broken: Parsed | undefined
  const giveUp = (text: string): Parsed => {
    buffer = Buffer.alloc(0)
    broken = { kind: 'garbage', text }
    return broken
  }
  const next = (): Parsed => {
    while (!broken) {
      const end = buffer.indexOf(LF)
      if (end > longestLine || (end < 0 && buffer.length > longestLine)) return giveUp(`a reply line of more than ${longestLine} octets`)
      if (end < 0) return { kind: 'incomplete' }
      const line = visible(buffer.subarray(0, end))
      buffer = buffer.subarray(end + 1)
      const parts = /^([2-5]\d\d)(?:([ -])(.*))?$/.exec(line)
      const code = Number(parts?.[1])
      if (!parts || (lines[0] && lines[0].code !== code)) return giveUp(`no SMTP reply: "${line.slice(0, 80)}"`)
      lines.push({ code, text: parts[3] ?? '' })
      if (lines.length > mostLines) return giveUp(`a reply of more than ${mostLines} lines`)
      if (parts[2] === '-') continue
      const reply = toReply(
        code,
        lines.map(({ text }) => text),
      )
      lines = []
      return { kind: 'reply', reply }
    }
    return broken
  }
  return {
    push: (chunk) => {
      if (broken) return
      buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk])
      // Somebody who talks while we send must not fill the memory.
      if (buffer.length > mostPending) giveUp(`more than ${mostPending} octets that nobody asked for`)
    },
    next,
    pending: () => buffer.length,
  }
}

/** One line for humans and records: `550 5.1.1 no such user`, at most 300 characters. */
export const replyText = ({ code, lines }: Reply): string => `${code} ${lines.join(' ')}`.trim().slice(0, 300)

/** The status to report: what the server said, else X.0.0 of its class (RFC 3463 §3.1). */
export const statusOf = ({ code, enhanced }: Reply): string => enhanced ?? `${Math.floor(code / 100)}.0.0`

function toReply(code: number, lines: readonly string[]): Reply {
  const enhanced = /^([245]\.\d{1,3}\.\d{1,3})(?= |$)/.exec(lines[0] ?? '')?.[1]
  // RFC 2034 §4: the classes must agree; else the digits are only text.
  return { code, lines, enhanced: enhanced?.[0] === String(code)[0] ? enhanced : undefined }
}

const visible = (bytes: Buffer) =>
  bytes
    .toString('utf8')
    .replace(/\r$/, '')
    .replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '?')
