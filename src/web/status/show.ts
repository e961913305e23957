/** Sends the sender's pages: one view for all of them, and the plain ones. */
import type { Answers, Exchange } from '../portal/answers.ts'
import type { Messages } from '../portal/messages/en.ts'
import type { Words } from '../portal/messages/language.ts'
import type { Status } from './words.ts'

export type Show = {
  readonly status: (exchange: Exchange, of: (words: Words) => Partial<Status> & { readonly title?: string }) => Promise<void>
  readonly plain: (exchange: Exchange, of: (t: Messages) => { title: string; text: string; next: string }) => Promise<void>
}

export function createShow({ answers }: { readonly answers: Answers }): Show {
  return {
    status: (exchange, of) => {
      const words = answers.words(exchange.request)
      const { title = words.t.status.title, ...told } = of(words)
      return answers.page(exchange, 'status', { title, words }, { facts: [], paragraphs: [], problem: '', ...told })
    },
    plain: (exchange, of) => {
      const words = answers.words(exchange.request)
      const { title, text, next } = of(words.t)
      return answers.plain(exchange, words, { title, paragraphs: [text, next] })
    },
  }
}
