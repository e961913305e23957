/** Closes what was opened, in reverse order, whatever goes wrong with one of it. */
import { within } from './within.ts'

export type Closers = {
  /** `what` is named in the log when it cannot be closed. */
  readonly add: (what: string, close: () => unknown) => void
  /** Close everything once; never rejects. A closer that throws, or takes longer than 10 s, does not keep the others from their turn. */
  readonly close: () => Promise<void>
}

const patience = 10_000

/** An empty list of closers. */
export function createClosers(log: { readonly error: (fields: object, text: string) => void }, most = patience): Closers {
  const opened: { readonly what: string; readonly close: () => unknown }[] = []
  return {
    add: (what, close) => void opened.push({ what, close }),
    close: async () => {
      for (let last = opened.pop(); last !== undefined; last = opened.pop()) {
        const { what, close } = last
        try {
          if (!(await within(most, Promise.resolve(close())))) log.error({ what }, 'closing takes too long and is not waited for')
        } catch (error) {
          log.error({ err: error, what }, 'closing failed')
        }
      }
    },
  }
}
