/** Which response headers keep a page, the frame of a letter's content, and a download to themselves. */
import type { RequestHandler } from 'express'
import helmet from 'helmet'
import type { Views } from './views.ts'

type Policy = { readonly [directive: string]: readonly string[] }

/** For everything the portal answers; the two below replace its Content-Security-Policy. */
export function pageHeaders(https: boolean, views: Views): RequestHandler[] {
  const protect = helmet({
    contentSecurityPolicy: false,
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: https ? { maxAge: 365 * 24 * 60 * 60, includeSubDomains: false } : false,
    crossOriginResourcePolicy: { policy: 'same-origin' },
    xFrameOptions: { action: 'sameorigin' },
  })
  const common: RequestHandler = (_request, response, next) => {
    response.set({
      'Content-Security-Policy': policy({
        'default-src': ["'none'"],
        'style-src': [views.pageStyle],
        'img-src': ["'self'"],
        'frame-src': ["'self'"],
        'form-action': ["'self'"],
        'frame-ancestors': ["'none'"],
        'base-uri': ["'none'"],
      }),
      'Cache-Control': 'no-store',
      'X-Robots-Tag': 'noindex, nofollow, noarchive',
      'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    })
    next()
  }
  return [protect as RequestHandler, common]
}

/**
 * For the document inside the frame. It stays sandboxed when opened alone: no scripts, no forms, no origin of its own. Links open a new
 * window (allow-popups) that is an ordinary one (…-to-escape-sandbox): else no site behind a link would work. Styles in attributes have
 * passed the sanitiser's list; the style sheet is known by its hash.
 */
export const contentHeaders = (views: Views): Record<string, string> => ({
  'Content-Security-Policy': policy({
    'default-src': ["'none'"],
    'img-src': ['data:'],
    'style-src-elem': [views.contentStyle],
    'style-src-attr': ["'unsafe-inline'"],
    'form-action': ["'none'"],
    'base-uri': ["'none'"],
    'frame-ancestors': ["'self'"],
    sandbox: ['allow-popups', 'allow-popups-to-escape-sandbox'],
  }),
  // A sandboxed document has an opaque origin, to which same-origin policies of its opener would be foreign.
  'Cross-Origin-Opener-Policy': 'unsafe-none',
})

/** For files: never shown, only saved, whatever they claim to be. */
export const downloadHeaders = (disposition: string, size: number): Record<string, string> => ({
  'Content-Security-Policy': policy({ 'default-src': ["'none'"], 'frame-ancestors': ["'none'"], sandbox: [] }),
  'Content-Type': 'application/octet-stream',
  'Content-Disposition': disposition,
  'Content-Length': String(size),
})

const policy = (directives: Policy) =>
  Object.entries(directives)
    .map(([name, values]) => [name, ...values].join(' '))
    .join('; ')
