/** Load for the power cuts: sessions that submit without a pause and write down what was acknowledged, before anything else happens. */
import { setTimeout as pause } from 'node:timers/promises'
import { acceptedAs, message, openSession } from './session.ts'

/** What the gateway said 250 to. */
export type Promised = { readonly id: string; readonly mark: string; readonly to: string; readonly size: number }

export type Load = {
  /** In the order of their acknowledgement; grows while the load runs. */
  readonly promised: readonly Promised[]
  /** Replies that were not 250, and lost connections. */
  readonly refused: () => number
  /** Go on until so many are promised, then wait to be told a higher number. */
  readonly upTo: (most: number) => void
  readonly stop: () => Promise<void>
}

export type Mix = { readonly sessions: number; readonly domains: readonly string[]; readonly sizes: readonly number[] }

/** Many small, some that are blobs; one in five becomes a letter, two wait, two are delivered. */
export const usualMix: Mix = {
  sessions: 8,
  domains: ['org.example', 'shut.example', 'org.example', 'shut.example', 'open.example'],
  sizes: [2_000, 2_000, 2_000, 2_000, 20_000, 20_000, 100_000],
}

/** Begin to submit to the gateway on `port`, up to `most` messages. */
export function startLoad(port: number, mix: Mix, most: number): Load {
  const promised: Promised[] = []
  let [refused, stopped, number, aim] = [0, false, 0, most]
  const submitOne = async (session: Awaited<ReturnType<typeof openSession>>) => {
    const index = number++
    const [mark, domain] = [`m${index}`, mix.domains[index % mix.domains.length]]
    const to = `u${index % 50}@${domain}`
    const size = mix.sizes[index % mix.sizes.length] ?? 0
    const id = acceptedAs(await session.submit('a@org.example', to, message(mark, to, size)))
    if (id === undefined) refused++
    else promised.push({ id, mark, to, size })
    while (!stopped && promised.length >= aim) await pause(5)
    return id !== undefined
  }
  const work = async () => {
    while (!stopped) {
      const session = await openSession(port)
      while (!stopped && (await submitOne(session)));
      session.close()
    }
  }
  const working = Promise.all(Array.from({ length: mix.sessions }, work))
  return {
    promised,
    refused: () => refused,
    upTo: (most) => {
      aim = most
    },
    stop: async () => {
      stopped = true
      await working
    },
  }
}
