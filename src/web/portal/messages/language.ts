/** Which language a page speaks, and dates, times and sizes in it. */
import { de } from './de.ts'
import { en, type Messages } from './en.ts'

const languages: ReadonlyMap<string, Messages> = new Map([
  ['en', en],
  ['de', de],
])

/** Words of one page with the formats that belong to them. All times are milliseconds since 1970, shown in the server's time zone. */
export type Words = {
  readonly lang: string
  readonly t: Messages
  /** "21 December 2026" */
  readonly date: (at: number) => string
  /** "14:31 CET" */
  readonly time: (at: number) => string
  /** "21 December 2026, 14:31 CET" */
  readonly moment: (at: number) => string
  /** "1.4 MB" */
  readonly size: (bytes: number) => string
}

/** Words for a request: the first language we have of Accept-Language (RFC 9110 §12.5.4), then of `otherwise`, then English. */
export function wordsFor(acceptLanguage: string | undefined, ...otherwise: readonly (string | undefined)[]): Words {
  for (const tag of [...accepted(acceptLanguage ?? ''), ...otherwise]) {
    const lang = tag?.toLowerCase().split('-')[0] ?? ''
    const t = languages.get(lang)
    if (t) return words(lang, t, tag && /^(?:en-US|en-CA|de-AT|de-CH)$/i.test(tag) ? tag : t.locale)
  }
  return words('en', en, en.locale)
}

/** Language tags by falling preference; without those refused by q=0. At most 20 are looked at. */
function accepted(header: string): string[] {
  return header
    .slice(0, 400)
    .split(',', 20)
    .map((part) => {
      const [tag = '', ...parameters] = part.split(';').map((piece) => piece.trim())
      const q = Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1)
      return { tag, q }
    })
    .filter(({ tag, q }) => /^[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*$/.test(tag) && q > 0)
    .sort((a, b) => b.q - a.q)
    .map(({ tag }) => tag)
}

function words(lang: string, t: Messages, locale: string): Words {
  const date = new Intl.DateTimeFormat(locale, { dateStyle: 'long' })
  const time = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', timeZoneName: 'short' })
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 })
  return {
    lang,
    t,
    date: (at) => date.format(at),
    time: (at) => time.format(at),
    moment: (at) => `${date.format(at)}, ${time.format(at)}`,
    size: (bytes) => (bytes < 1e6 ? `${number.format(Math.max(1, Math.round(bytes / 1e3)))} kB` : `${number.format(bytes / 1e6)} MB`),
  }
}
