/** Keeps connections to next hops for a few seconds, so that the next message need not shake hands again. */
import { isIPv6 } from 'node:net'
import type { Clock } from '../ops/clock.ts'
import type { Deadlines } from './deadlines.ts'
import type { Candidate } from './next-hop.ts'
import { createPlaces, type Place } from './places.ts'
import { type Connection, cutInTime, type Opened, type Session, sayGoodbye, sessionOver } from './session.ts'
import type { Aim, ChannelNeed } from './tls-need.ts'
import { type Content, type Transferred, transfer } from './transaction.ts'
import type { Trouble } from './trouble.ts'

export type Pool = {
  /**
   * A kept connection that is good enough for this need, judged now by what was seen at its opening; else a place for a new one. Where the
   * address has as many connections as it gets, it waits for either, until the signal.
   */
  readonly take: <N extends ChannelNeed>(candidate: Candidate, need: N, aim: Aim, signal: AbortSignal) => Promise<Taken<N['kind']>>
  /** A place for a new connection, in turn; undefined: stopped. */
  readonly place: (candidate: Candidate, signal: AbortSignal) => Promise<Place | undefined>
  /** Keep it for the next message when it is `good`, else say goodbye. */
  readonly give: (connection: Connection, state: Transferred['connection']) => void
  /** Say goodbye to all; from now on nothing is kept. */
  readonly close: () => void
}

export type Taken<K extends ChannelNeed['kind']> =
  | { readonly kind: 'kept'; readonly session: Session<K> }
  | { readonly kind: 'place'; readonly place: Place }
  | { readonly kind: 'stopped' }

/** `perAddress`: connections at once to one IP address, kept ones included. */
export type PoolParts = {
  readonly sources: readonly string[]
  readonly deadlines: Deadlines
  readonly clock: Clock
  readonly perAddress: number
}

/** Kept at once, all hosts together: each costs us and its host a socket. */
const mostKept = 400

/** A pool; what it keeps is cut after `deadlines.idle` milliseconds, and not used again past `deadlines.reuse`. */
export function createPool({ sources, deadlines, clock, perAddress }: PoolParts): Pool {
  const places = createPlaces(perAddress)
  // In the order in which they were given back.
  const kept = new Map<Connection, { readonly key: string; readonly drop: () => void }>()
  const byKey = new Map<string, Set<Connection>>()
  let closed = false

  const take: Pool['take'] = async (candidate, need, aim, signal) => {
    for (let first = false; ; first = true) {
      const session = findKept(candidate, need, aim, signal)
      if (session) return { kind: 'kept', session }
      makeRoom(candidate.address)
      const granted = await places.take(candidate.address, signal, first)
      if (granted === 'stopped') return { kind: 'stopped' }
      if (granted !== 'look') return { kind: 'place', place: granted }
    }
  }

  const place: Pool['place'] = async ({ address }, signal) => {
    for (let first = false; ; first = true) {
      makeRoom(address)
      const granted = await places.take(address, signal, first)
      if (granted === 'stopped') return undefined
      if (granted !== 'look') return granted
    }
  }

  /** At a full address a connection that nobody uses is in the way of one that somebody needs. */
  const makeRoom = (address: string) => {
    if (!places.isFull(address)) return
    const idle = [...kept.keys()].find(({ candidate }) => candidate.address === address)
    if (idle === undefined) return
    forget(idle)
    sayGoodbye(idle.wire, deadlines.quit, true)
  }

  const findKept = <N extends ChannelNeed>(
    candidate: Candidate,
    need: N,
    aim: Aim,
    signal: AbortSignal,
  ): Session<N['kind']> | undefined => {
    const fitting = sourcesFor(candidate, sources).flatMap((source) => [...(byKey.get(keyOf(source, candidate)) ?? [])])
    for (const connection of fitting) {
      if (!isFresh(connection)) continue
      if (sessionOver(connection, candidate, need, aim) === undefined) continue
      forget(connection)
      const release = cutInTime(connection.wire.raw, signal, deadlines.whole)
      return sessionOver({ ...connection, release }, candidate, need, aim)
    }
    return undefined
  }

  const isFresh = (connection: Connection): boolean => isQuiet(connection) && Math.abs(clock() - connection.openedAt) < deadlines.reuse

  const forget = (connection: Connection): void => {
    const known = kept.get(connection)
    if (known === undefined) return
    known.drop()
    kept.delete(connection)
    const same = byKey.get(known.key)
    same?.delete(connection)
    if (same?.size === 0) byKey.delete(known.key)
  }

  const give: Pool['give'] = (connection, state) => {
    const { wire } = connection
    connection.release()
    if (state !== 'good' || closed || !isFresh(connection)) return sayGoodbye(wire, deadlines.quit, true)
    const [oldest] = kept.keys()
    if (kept.size >= mostKept && oldest !== undefined) {
      forget(oldest)
      sayGoodbye(oldest.wire, deadlines.quit, true)
    }
    const end = () => {
      forget(connection)
      sayGoodbye(wire, deadlines.quit, true)
    }
    // Whatever it says while nobody asks (a 421, a close, an error) ends it.
    const timer = setTimeout(end, deadlines.idle)
    wire.stream.on('data', end).on('end', end).on('error', end).on('close', end)
    const drop = () => {
      clearTimeout(timer)
      wire.stream.off('data', end).off('end', end).off('error', end).off('close', end)
    }
    const source = sources.length > 0 ? (wire.raw.localAddress ?? '') : ''
    const key = keyOf(source, connection.candidate)
    kept.set(connection, { key, drop })
    byKey.set(key, (byKey.get(key) ?? new Set()).add(connection))
    places.offer(connection.candidate.address)
  }

  return {
    take,
    place,
    give,
    close: () => {
      closed = true
      for (const connection of [...kept.keys()]) {
        forget(connection)
        connection.wire.say('QUIT')
        connection.wire.cut()
      }
    },
  }
}

/** Nothing lies unread on it, and neither side has closed it. */
const isQuiet = ({ wire }: Connection): boolean => wire.lost() === undefined && wire.unread() === 0 && wire.stream.writable

const keyOf = (source: string, { host, address, port }: Candidate): string => [source, host, address, port].join(' ')

/** The addresses that we may connect from: '' is the system's choice. */
function sourcesFor({ address }: Candidate, sources: readonly string[]): readonly string[] {
  const fitting = sources.filter((source) => isIPv6(source) === isIPv6(address))
  return fitting.length > 0 ? fitting : ['']
}

export type Carried<K extends ChannelNeed['kind']> =
  | { readonly kind: 'trouble'; readonly trouble: Trouble }
  | { readonly kind: 'carried'; readonly session: Session<K>; readonly done: Transferred; readonly ms: number }

export type CarryParts = { readonly pool: Pool; readonly deadlines: Deadlines; readonly clock: Clock; readonly signal: AbortSignal }

/**
 * Content to a candidate over a kept connection, or over a new one by `open`. A kept one that turns out to be gone before it answered anything
 * is replaced by a new one: nothing was handed over, so nothing can arrive twice.
 */
export async function carry<N extends ChannelNeed>(
  content: Content<N['kind']>,
  candidate: Candidate,
  need: N,
  aim: Aim,
  open: (place: Place) => Promise<Opened<N['kind']>>,
  { pool, deadlines, clock, signal }: CarryParts,
): Promise<Carried<N['kind']>> {
  const taken = await pool.take(candidate, need, aim, signal)
  if (taken.kind === 'kept') {
    const carried = await over(taken.session)
    if (carried.done.connection !== 'silent') return carried
  }
  const place = taken.kind === 'place' ? taken.place : await pool.place(candidate, signal)
  if (place === undefined) return { kind: 'trouble', trouble: stoppedAt(candidate) }
  const opened = await open(place).finally(place.leave)
  return opened.kind === 'trouble' ? opened : over(opened.session)

  async function over(session: Session<N['kind']>) {
    const started = clock()
    const done = await transfer<N['kind']>(session, content, deadlines)
    pool.give(session.connection, done.connection)
    return { kind: 'carried' as const, session, done, ms: clock() - started }
  }
}

const stoppedAt = (candidate: Candidate): Trouble => ({
  row: 'unreachable',
  text: `${candidate.host} (${candidate.address}:${candidate.port}): the attempt was stopped`,
  evidence: { ...candidate },
})
