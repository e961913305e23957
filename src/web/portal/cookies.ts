/** One cookie for each letter that is open in a browser, so that two letters do not close each other. */
import type { Request, Response } from 'express'

const twelveHours = 12 * 60 * 60
const mostLetters = 8

export type Cookies = {
  /** The cookie of this session, undefined when the browser brought none. */
  readonly read: (request: Request, session: string) => string | undefined
  readonly set: (request: Request, response: Response, session: string, value: string) => void
  /** Asks the browser to forget it, when it has it. */
  readonly clear: (request: Request, response: Response, session: string) => void
}

/** `name`: readers and senders have cookies of their own. With https the `__Host-` prefix and Secure (RFC 6265bis §4.1.3.2); without both only on plain-http loopback, where they cannot work. */
export function createCookies(https: boolean, name: 'letter' | 'status' = 'letter'): Cookies {
  const prefix = `${https ? '__Host-' : ''}${name}-`
  const attributes = `; Path=/; HttpOnly; SameSite=Lax${https ? '; Secure' : ''}`
  const remove = (response: Response, which: string) => response.append('Set-Cookie', `${which}=; Max-Age=0${attributes}`)
  return {
    read: (request, session) => cookiesOf(request).get(prefix + session),
    set: (request, response, session, value) => {
      // Browsers send the oldest first (RFC 6265 §5.4): those make room, or the header grows without end.
      const others = [...cookiesOf(request).keys()].filter((other) => other.startsWith(prefix) && other !== prefix + session)
      for (const other of others.slice(0, Math.max(0, others.length - mostLetters + 1))) remove(response, other)
      response.append('Set-Cookie', `${prefix}${session}=${value}; Max-Age=${twelveHours}${attributes}`)
    },
    clear: (request, response, session) => {
      if (cookiesOf(request).has(prefix + session)) remove(response, prefix + session)
    },
  }
}

function cookiesOf(request: Request): Map<string, string> {
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => {
    const at = pair.indexOf('=')
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const
  })
  // Session ids come from the URL into cookie names: only what is a name in full counts (RFC 6265 §4.1.1).
  return new Map(pairs.filter(([name]) => /^[\w-]+$/.test(name)))
}
