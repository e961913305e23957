/** What the demo prints: where things are, and each change of an outcome on a line of its own. */
import type { Settings } from '../ops/settings.ts'
import type { Outcome } from './outcomes.ts'
import { organisation, people } from './people.ts'
import { timings } from './timings.ts'

/** Where to go and what to do, in lines for a person. */
export function opening({ url, settings }: { readonly url: string; readonly settings: Settings }): string {
  const smtp = settings['smtp.listen'].map(({ host, port }) => `${host}:${port}`).join(', ')
  const lines = [
    ['Open', `${url}  and press "Send to all"`],
    ['Mail in', `${smtp}  for any mail client, from any address at ${organisation.domain}`],
    ['Portal', `${settings['portal.url']}  where letters are read; each notice carries its link`],
    ['Ask', `LETTERLOCK_DATA=${settings.data} node dist/main.js message list`],
    ...timings().map(({ what, here, usually }) => ['Shortened', `${what} ${here} (usually ${usually})`]),
  ]
  const rows = lines.map(([name = '', text = '']) => `  ${name.padEnd(11)}${text}`).join('\n')
  return `\nThe demo is ready: ${organisation.name} writes to ${people.length} people. No mail leaves this machine.\n\n${rows}\n\nWhat becomes of each message is told here too. Ctrl-C ends the demo.\n`
}

const pause = 400

/** Say each change of an outcome until the answered function is called. */
export function narrate(outcomes: () => Promise<readonly Outcome[]>, say: (line: string) => void): () => Promise<void> {
  const told = new Map<string, string>()
  let looking: Promise<void> = Promise.resolve()
  const look = async () => {
    for (const { key, to, words } of (await outcomes()).toSorted((one, other) => one.at - other.at)) {
      if (told.get(key) === words) continue
      told.set(key, words)
      say(`${clockTime(Date.now())}  ${to.padEnd(24)}${words}`)
    }
  }
  const timer = setInterval(() => {
    looking = looking.then(look).catch((error) => say(`The outcomes could not be read: ${error instanceof Error ? error.message : error}`))
  }, pause)
  return async () => {
    clearInterval(timer)
    await looking
  }
}

/** `14:02:07`, by the clock on the wall. */
export const clockTime = (at: number): string => new Date(at).toLocaleTimeString('en-GB')
