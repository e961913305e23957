/** The shapes of load that mail servers are compared under: one line each. */

export type Scenario = {
  readonly name: string
  readonly about: string
  readonly sessions: number
  /** In a full run; `--quick` sends a third of them. */
  readonly messages: number
  readonly octets: number
  /** Each session keeps its connection; else each message has its own. */
  readonly kept: boolean
  /** One message after the other, each awaited at the sink. */
  readonly idle?: true
  /** The first messages that the server gets after its start, once; all others come when it is warm. */
  readonly fresh?: true
  /** 200 domains, 50 ms away, a tenth of them dead; else one host on loopback. */
  readonly distant?: true
}

const kb = 1024
const kept = { sessions: 20, kept: true }
const once = { sessions: 20, kept: false }

export const scenarios: readonly Scenario[] = [
  { name: '20k', about: '20 KB, 20 kept sessions', messages: 1000, octets: 20 * kb, ...kept },
  {
    name: 'cold',
    about: '20 KB, 20 kept sessions, the first messages after the start',
    messages: 1000,
    octets: 20 * kb,
    fresh: true,
    ...kept,
  },
  { name: '4k', about: '4 KB, 20 kept sessions', messages: 1000, octets: 4 * kb, ...kept },
  { name: '100k', about: '100 KB, 20 kept sessions', messages: 400, octets: 100 * kb, ...kept },
  { name: '10m', about: '10 MB, 4 kept sessions', messages: 48, octets: 10 * kb * kb, sessions: 4, kept: true },
  { name: '20k-once', about: '20 KB, a connection for each message, 20 at once', messages: 600, octets: 20 * kb, ...once },
  { name: '4k-once', about: '4 KB, a connection for each message, 20 at once', messages: 600, octets: 4 * kb, ...once },
  { name: 'far', about: '20 KB to 200 domains 50 ms away, a tenth of them dead', messages: 1000, octets: 20 * kb, distant: true, ...kept },
  { name: 'idle', about: '20 KB, one message at a time', messages: 30, octets: 20 * kb, sessions: 1, kept: false, idle: true },
]
