/** HTML of a stranger's mail made harmless: string in, string out; the sandboxed frame around it is the second wall. */
import sanitizeHtml from 'sanitize-html'

export type Sanitised = {
  readonly html: string
  /** A picture on another server was left out. */
  readonly withheld: boolean
}

const dataPictureLimit = 3 * 1024 * 1024

/**
 * Removes everything that could run, load, navigate by itself or cover the page. `picture` gives the data: URI for a Content-ID, or
 * undefined. The answer must not be edited afterwards: whatever is changed here is changed inside the sanitiser.
 */
export function sanitise(html: string, picture: (contentId: string) => string | undefined): Sanitised {
  let withheld = false
  const image = (_name: string, attribs: sanitizeHtml.Attributes): sanitizeHtml.Tag => {
    const source = (attribs.src ?? '').trim()
    const shown = ownPicture(source, picture)
    if (shown) return { tagName: 'img', attribs: { ...attribs, src: shown, alt: attribs.alt ?? '' } }
    if (/^(?:https?:)?\/\//i.test(source)) withheld = true
    return { tagName: 'span', attribs: {}, text: attribs.alt ? `[${attribs.alt}]` : '' }
  }
  const clean = sanitizeHtml(html, { ...options, transformTags: { img: image, a: link, area: link } })
  return { html: clean, withheld }
}

/** Well-formed HTML as the sanitiser writes it (every `<`, `>` of text and attributes escaped) turned into plain text. */
export function textOf(sanitised: string): string {
  return sanitised
    .replace(/\s+/g, ' ')
    .replace(/<a href="(https?:[^"]*)"[^>]*>([^<]*)<\/a>/g, (_all, href: string, text: string) =>
      text === href ? text : `${text} (${href})`,
    )
    .replace(/<\/(?:p|h[1-6]|blockquote|pre|table|ul|ol|dl)>|<hr \/>/g, '\n\n')
    .replace(/<br \/>|<\/(?:div|tr|li|dt|dd)>/g, '\n')
    .replace(/<li>/g, '• ')
    .replace(/<\/t[dh]>/g, '\t')
    .replace(/<[^>]*>/g, '')
    .replace(/&(amp|lt|gt|quot);/g, (_all, name: keyof typeof entities) => entities[name])
    .split('\n')
    .map((line) => line.trim())
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()
}

const entities = { amp: '&', lt: '<', gt: '>', quot: '"' }

function ownPicture(source: string, picture: (contentId: string) => string | undefined): string | undefined {
  if (/^cid:/i.test(source)) return picture(source.slice(4))
  if (source.length <= dataPictureLimit && /^data:image\/(?:png|jpeg|gif|webp);base64,[a-z0-9+/=]*$/i.test(source)) return source
  return undefined
}

/** Only absolute links to elsewhere, in a new window: a relative one would point into the portal. */
function link(_name: string, attribs: sanitizeHtml.Attributes): sanitizeHtml.Tag {
  const href = (attribs.href ?? '').trim()
  if (!/^(?:https?:\/\/|mailto:|tel:)/i.test(href)) return { tagName: 'a', attribs: {} }
  return { tagName: 'a', attribs: { ...attribs, href, target: '_blank', rel: 'noopener noreferrer nofollow' } }
}

// No url(), var(), attr() or other function but colours; no position, so nothing can cover anything.
const plainValue = /^(?:rgba?\([\d\s.,%]{1,40}\)|[\w\s.,%#'"!-]){1,120}$/i
const distance = /^[\d.\s%a-z]{1,60}$/i

const styles: Record<string, RegExp[]> = {
  ...Object.fromEntries(
    [
      'color',
      'background-color',
      'background',
      'font',
      'font-family',
      'font-size',
      'font-style',
      'font-weight',
      'font-variant',
      'line-height',
    ]
      .concat([
        'text-align',
        'text-decoration',
        'text-indent',
        'text-transform',
        'vertical-align',
        'white-space',
        'letter-spacing',
        'direction',
      ])
      .concat(['border', 'border-top', 'border-right', 'border-bottom', 'border-left', 'border-color', 'border-style', 'border-width'])
      .concat(['border-collapse', 'border-spacing', 'border-radius', 'list-style-type', 'unicode-bidi'])
      .map((name) => [name, [plainValue]]),
  ),
  ...Object.fromEntries(
    ['width', 'max-width', 'min-width', 'height', 'max-height']
      .concat(['margin', 'margin-top', 'margin-right', 'margin-bottom', 'margin-left'])
      .concat(['padding', 'padding-top', 'padding-right', 'padding-bottom', 'padding-left'])
      .map((name) => [name, [distance]]),
  ),
}

const options: sanitizeHtml.IOptions = {
  // Never textarea, xmp, svg, math or style: elements that a browser and the sanitiser's parser read differently.
  allowedTags: [
    ...['p', 'br', 'div', 'span', 'a', 'img', 'hr', 'center', 'font', 'blockquote', 'pre', 'address', 'figure', 'figcaption'],
    ...[
      'b',
      'strong',
      'i',
      'em',
      'u',
      's',
      'strike',
      'del',
      'ins',
      'sub',
      'sup',
      'small',
      'big',
      'code',
      'kbd',
      'samp',
      'tt',
      'mark',
      'q',
      'cite',
    ],
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'dl', 'dt', 'dd', 'abbr', 'bdi', 'bdo', 'wbr'],
    ...['table', 'caption', 'colgroup', 'col', 'thead', 'tbody', 'tfoot', 'tr', 'th', 'td'],
  ],
  // These go with everything inside; of all others the text stays.
  nonTextTags: [
    ...[
      'script',
      'style',
      'textarea',
      'xmp',
      'svg',
      'math',
      'title',
      'noscript',
      'template',
      'select',
      'option',
      'object',
      'embed',
      'applet',
    ],
    ...['iframe', 'frameset', 'noframes', 'noembed', 'audio', 'video', 'canvas', 'plaintext', 'head'],
  ],
  allowedAttributes: {
    '*': ['dir', 'lang', 'title', 'align', 'style'],
    a: ['href', 'target', 'rel'],
    img: ['src', 'alt', 'width', 'height', 'border'],
    font: ['color', 'size', 'face'],
    table: ['width', 'bgcolor', 'border', 'cellpadding', 'cellspacing'],
    tr: ['bgcolor', 'valign'],
    td: ['bgcolor', 'valign', 'width', 'height', 'colspan', 'rowspan', 'nowrap'],
    th: ['bgcolor', 'valign', 'width', 'height', 'colspan', 'rowspan', 'nowrap', 'scope'],
    col: ['width', 'span'],
    ol: ['start', 'type'],
    ul: ['type'],
    li: ['value'],
  },
  allowedStyles: { '*': styles },
  allowedSchemes: ['http', 'https', 'mailto', 'tel'],
  allowedSchemesByTag: { img: ['data'] },
  allowProtocolRelative: false,
  disallowedTagsMode: 'discard',
  nestingLimit: 120,
}
