/** What a letter's page shows: a mail read once, in a worker, and kept for the session. */

/** Sizes in bytes, times in milliseconds since 1970; all names are free of control and bidi characters. */
export type LetterContent = {
  readonly subject: string
  readonly to: readonly Person[]
  readonly cc: readonly Person[]
  readonly date: number | null
  /** Sanitised: safe to show in a sandboxed frame; null when the mail has no HTML, or too much of it. */
  readonly html: string | null
  /** Pictures on other servers were left out. */
  readonly withheld: boolean
  /** Plain text: the mail's own, else made from its HTML. Not escaped. */
  readonly text: string
  /** The text or HTML was cut, or HTML was left out, because of its length. */
  readonly shortened: boolean
  readonly files: readonly LetterFile[]
}

/** One of the two may be ''. */
export type Person = { readonly name: string; readonly address: string }

/** `type` is the declared MIME type, application/octet-stream when it is no proper one. */
export type LetterFile = {
  /** As walk.ts numbers parts. */ readonly number: number
  readonly name: string
  readonly type: string
  readonly size: number
}

/** What the thread is asked: a mail without its files (skeleton.ts). `bytes` are transferred, not copied. */
export type Job = { readonly bytes: ArrayBuffer; readonly mark: string; readonly sizes: readonly number[]; readonly cut: boolean }
