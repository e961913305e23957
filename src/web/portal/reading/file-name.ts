/** Names of files as a stranger wrote them, made safe to show and to save. */

// Cc, Cf (all bidi controls and zero-width characters), line separators, lone surrogates, private use.
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu

/** One line of visible characters, NFC, at most `length` of them: for names, addresses and subjects on a page. */
export function visible(text: string, length = 300): string {
  const clean = text.normalize('NFC').replace(/\s+/g, ' ').replace(invisible, '').trim()
  return [...clean].slice(0, length).join('')
}

/** A name that is a file's name and nothing else on every system: no path, no reserved characters, not hidden; '' when nothing is left. */
export function safeFileName(name: string): string {
  const clean = visible(name, 1000)
    .replace(/[\\/:*?"<>|]/g, '_')
    .replace(/^[.\s]+|[.\s]+$/g, '')
  const ending = /\.[^.]{1,12}$/.exec(clean)?.[0] ?? ''
  const stem = [...clean.slice(0, clean.length - ending.length)].slice(0, 100).join('')
  const safe = stem + ending
  // Device names of Windows, with or without an ending.
  return /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i.test(safe) ? `_${safe}` : safe
}

/** Content-Disposition of a download (RFC 6266 §4.3): an ASCII name, and the true one in RFC 8187 form. */
export function attachmentDisposition(name: string): string {
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/g, '_')
  const coded = encodeURIComponent(name).replace(/['()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)
  return `attachment; filename="${ascii}"; filename*=UTF-8''${coded}`
}
