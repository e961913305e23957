/** The pages as typed functions: each view of views/portal with exactly the data it needs. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Eta } from 'eta'
import { packageRoot } from '../../ops/package-root.ts'
import type { Words } from './messages/language.ts'
import type { Person } from './reading/content.ts'
import type { Piece } from './reading/linkify.ts'

/** What each view is given besides the frame that every page has. `action` is the page's own path, `token` its form token. */
export type ViewData = {
  readonly landing: LetterOutside & {
    readonly action: string
    readonly token: string
    readonly host: string
    readonly again: boolean
    readonly next: string
  }
  readonly code: {
    readonly action: string
    readonly token: string
    readonly address: string
    readonly codeWords: string
    readonly inputMode: 'numeric' | 'text'
    readonly sentAt: number | null
    readonly validUntil: number | null
    readonly mayResendAt: number
    readonly now: number
    readonly triesLeft: number
    readonly limited: boolean
    readonly problem: string
  }
  readonly passphrase: {
    readonly action: string
    readonly token: string
    readonly sender: string
    readonly triesLeft: number
    readonly problem: string
  }
  readonly letter: {
    readonly action: string
    readonly token: string
    readonly subject: string
    readonly sender: string
    readonly senderAddress: string
    readonly to: readonly Person[]
    readonly cc: readonly Person[]
    readonly writtenAt: number
    readonly expiresAt: number
    readonly label: string
    readonly body: LetterBody
    readonly shortened: boolean
    readonly files: readonly { readonly number: number; readonly name: string; readonly kind: string; readonly size: number }[]
  }
  readonly plain: { readonly paragraphs: readonly string[]; readonly home: boolean }
  readonly questions: { readonly items: readonly { readonly question: string; readonly answer: string }[] }
  /** A sender's letter: `form` is its one button before the session, `choices` are links in it. */
  readonly status: {
    readonly facts: readonly (readonly [name: string, value: string])[]
    readonly paragraphs: readonly string[]
    readonly problem: string
    readonly form?: StatusForm
    readonly choices?: readonly { readonly title: string; readonly text: string; readonly form?: StatusForm; readonly link?: StatusLink }[]
  }
  readonly 'not-me': { readonly action: string; readonly token: string; readonly sender: string }
}
export type ViewName = keyof ViewData

/** `sure`: the words of the box that must be ticked, for robots press every button. */
export type StatusForm = { readonly action: string; readonly token: string; readonly button: string; readonly sure?: string }
type StatusLink = { readonly href: string; readonly text: string }

type LetterOutside = {
  readonly sender: string
  readonly senderAddress: string
  readonly address: string
  readonly createdAt: number
  readonly expiresAt: number
}

export type LetterBody =
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'text'; readonly pieces: readonly Piece[]; readonly designed: boolean }
  | { readonly kind: 'html'; readonly height: '' | 'tall' | 'full'; readonly withheld: boolean }

/** What the layout shows around a view. */
export type Frame = { readonly title: string; readonly words: Words; readonly reference?: string | undefined; readonly wide?: boolean }

export type Views = {
  readonly page: <Name extends ViewName>(name: Name, frame: Frame, data: ViewData[Name]) => string
  /** The document inside the sandboxed frame; `html` comes from reading/sanitise.ts and nowhere else. */
  readonly content: (html: string, title: string, words: Words) => string
  /** CSP sources of the two style sheets, and the icon with the path that changes with it. */
  readonly pageStyle: string
  readonly contentStyle: string
  readonly icon: { readonly path: string; readonly bytes: Buffer }
}

/** Compiles the views once; `organisation` is the letterhead. */
export function createViews(organisation: string): Views {
  const folder = join(packageRoot, 'views', 'portal')
  const eta = new Eta({ views: folder, cache: true })
  const style = smaller(readFileSync(join(folder, 'style.css'), 'utf8'))
  const contentStyle = smaller(readFileSync(join(folder, 'content.css'), 'utf8'))
  const bytes = readFileSync(join(packageRoot, 'public', 'portal', 'icon.svg'))
  const icon = { path: `/static/icon-${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}.svg`, bytes }
  return {
    page: (name, frame, data) =>
      eta.render(name, { ...frame, t: frame.words.t, lang: frame.words.lang, organisation, icon: icon.path, style, ...data }),
    content: (html, title, words) => eta.render('content', { html, title, lang: words.lang, style: contentStyle }),
    pageStyle: cspHash(style),
    contentStyle: cspHash(contentStyle),
    icon,
  }
}

/** Style sheets are ours and small: line starts and ends carry nothing. */
const smaller = (css: string) => css.replace(/\n\s*/g, '\n').trim()

const cspHash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
