/** Plain text cut into pieces, some of them links: the view escapes each piece, so nothing here is HTML. */

export type Piece = { readonly text: string; readonly href?: string }

const mostLinks = 500
// No bidi controls, quotes or angle brackets inside a link; one class and one bounded repeat, so matching stays linear.
const link = /\bhttps?:\/\/[^\s<>"'`\u0000-\u001f\u200e\u200f\u202a-\u202e\u2066-\u2069]{1,1000}/giu

/** Web addresses become links whose target is exactly the text that is shown. */
export function linkify(text: string): Piece[] {
  const pieces: Piece[] = []
  let from = 0
  for (const match of text.matchAll(link)) {
    if (pieces.length > 2 * mostLinks) break
    const href = withoutTrailing(match[0])
    if (!URL.canParse(href)) continue
    if (match.index > from) pieces.push({ text: text.slice(from, match.index) })
    pieces.push({ text: href, href })
    from = match.index + href.length
  }
  if (from < text.length) pieces.push({ text: text.slice(from) })
  return pieces
}

/** The sentence's punctuation is not the link's; a closing bracket is, when it was opened inside. */
function withoutTrailing(url: string): string {
  const end = url.replace(/[.,;:!?…]+$/u, '')
  return end.endsWith(')') && !end.includes('(') ? withoutTrailing(end.slice(0, -1)) : end
}
