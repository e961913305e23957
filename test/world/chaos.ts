/** An attacker on the line: a TCP proxy on loopback that interferes at a given octet between us and a next hop, and keeps all it saw. */
import { connect, createServer, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls'
import type { Leaf } from './index.ts'

/** `out`: from us to the next hop; `back`: its answers. */
export type Direction = 'out' | 'back'

/** `at` counts the octets of one direction that went through before, whatever packets they came in. */
export type Interference =
  | { readonly kind: 'none' }
  | { readonly kind: 'garble'; readonly direction: Direction; readonly at: number; readonly mask: number }
  | { readonly kind: 'inject'; readonly direction: Direction; readonly at: number; readonly bytes: Buffer; readonly apart: boolean }
  | { readonly kind: 'drop' | 'duplicate'; readonly direction: Direction; readonly at: number; readonly length: number }
  | { readonly kind: 'cut'; readonly direction: Direction; readonly at: number; readonly how: 'end' | 'reset' }
  | { readonly kind: 'half-close' | 'stall'; readonly direction: Direction; readonly at: number }
  | { readonly kind: 'delay'; readonly direction: Direction; readonly at: number; readonly ms: number }
  /** In every packet of the direction, as STARTTLS strippers do. */
  | { readonly kind: 'rewrite'; readonly direction: Direction; readonly find: RegExp; readonly by: string }
  /** Our command is answered by the attacker; the next hop sees it only if `forward`. */
  | { readonly kind: 'answer'; readonly find: string; readonly by: string; readonly forward: boolean }
  /** TLS with both sides, mail read in between. */
  | { readonly kind: 'impostor'; readonly leaf: Leaf }

/** What passed on one connection. */
export type Tap = {
  /** Octets that we sent, as they were on the line. */
  readonly out: Buffer[]
  readonly back: Buffer[]
  /** What an impostor could read of what we sent. */
  readonly read: Buffer[]
}

export type Chaos = {
  readonly host: string
  readonly port: number
  /** From now on for new connections; answers the taps of those to come. */
  readonly interfere: (interference: Interference) => readonly Tap[]
  readonly close: () => Promise<void>
}

type Address = { readonly host: string; readonly port: number }

/** Listen at `at` and pass everything on to `target`. */
export async function startChaos(target: Address, at: Address): Promise<Chaos> {
  const state = { interference: { kind: 'none' } as Interference, taps: [] as Tap[] }
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const hop = connect({ ...target, allowHalfOpen: true })
    for (const socket of [client, hop]) {
      sockets.add(socket)
      socket
        .setNoDelay(true)
        .on('error', () => undefined)
        .on('close', () => sockets.delete(socket))
    }
    const tap: Tap = { out: [], back: [], read: [] }
    state.taps.push(tap)
    stand(client, hop, state.interference, tap)
  })
  await new Promise<void>((done, fail) => server.once('error', fail).listen(at.port, at.host, done))
  return {
    host: at.host,
    port: (server.address() as { port: number }).port,
    interfere: (interference) => {
      state.interference = interference
      state.taps = []
      return state.taps
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    },
  }
}

/** Between two sockets: each direction through its own tampering, in order even where it waits. */
function stand(client: Socket, hop: Socket, interference: Interference, tap: Tap): void {
  const cut = (how: 'end' | 'reset') => {
    for (const socket of [client, hop]) how === 'reset' ? socket.resetAndDestroy() : socket.destroy()
  }
  const flow = (direction: Direction, from: Socket, to: Socket) => {
    const tamper = tampering(interference, direction)
    const perform = async (step: Step): Promise<void> => {
      if ('send' in step) return void (to.writable && to.write(step.send))
      if ('reply' in step) return void (from.writable && from.write(step.reply))
      if ('pause' in step) return new Promise((done) => setTimeout(done, step.pause))
      if (step.stop === 'half-close') to.end()
      if (step.stop === 'end' || step.stop === 'reset') cut(step.stop)
    }
    let queue: Promise<void> | undefined
    const later = (work: () => Promise<void> | void) => {
      queue = (queue ?? Promise.resolve()).then(work)
    }
    from.on('data', (chunk: Buffer) => {
      tap[direction].push(chunk)
      for (const step of tamper(chunk)) {
        // Without waits nothing is put off by a turn: packets stay what they were.
        if (queue || 'pause' in step) later(() => perform(step))
        else void perform(step)
      }
      if (interference.kind === 'impostor' && direction === 'back' && chunk.includes('220 2.0.0')) pose(client, hop, interference.leaf, tap)
    })
    from.on('end', () => later(() => void to.end()))
    from.on('close', () => later(() => void setTimeout(() => to.destroy(), 50)))
  }
  flow('out', client, hop)
  flow('back', hop, client)
}

type Step =
  | { readonly send: Buffer }
  | { readonly reply: string }
  | { readonly pause: number }
  | { readonly stop: 'end' | 'reset' | 'half-close' | 'stall' }

/** What becomes of each packet of one direction. */
function tampering(interference: Interference, direction: Direction): (chunk: Buffer) => readonly Step[] {
  let seen = 0
  let stopped = false
  let last = Buffer.alloc(0)
  return (chunk) => {
    if (stopped) return []
    const from = seen
    seen += chunk.length
    const steps = tamperWith(interference, direction, chunk, from, last)
    last = Buffer.concat([last, chunk]).subarray(-16)
    stopped = steps.some((step) => 'stop' in step)
    return steps
  }
}

function tamperWith(act: Interference, direction: Direction, chunk: Buffer, from: number, last: Buffer): readonly Step[] {
  const whole = [{ send: chunk }]
  if (act.kind === 'none' || act.kind === 'impostor') return whole
  if (act.kind === 'answer') {
    if (direction !== 'out' || !chunk.includes(act.find)) return whole
    return act.forward ? [{ reply: act.by }, { send: chunk }] : [{ reply: act.by }]
  }
  if (act.direction !== direction) return whole
  if (act.kind === 'rewrite') return [{ send: Buffer.from(chunk.toString('latin1').replace(act.find, act.by), 'latin1') }]
  const at = act.at - from
  // Between two packets counts as the beginning of the later one; a cut happens as soon as its place is reached.
  const here = act.kind === 'cut' || act.kind === 'half-close' ? at > 0 && at <= chunk.length : at >= 0 && at < chunk.length
  if (!here) return whole
  const [before, after] = [chunk.subarray(0, at), chunk.subarray(at)]
  switch (act.kind) {
    case 'garble':
      return [{ send: Buffer.concat([before, Buffer.from([(after[0] ?? 0) ^ act.mask]), after.subarray(1)]) }]
    case 'inject':
      if (!act.apart) return [{ send: Buffer.concat([before, act.bytes, after]) }]
      return [...some(before), { pause: 2 }, { send: act.bytes }, { pause: 2 }, { send: after }]
    case 'drop':
      return [{ send: Buffer.concat([before, after.subarray(act.length)]) }]
    case 'duplicate':
      return [{ send: Buffer.concat([before, Buffer.concat([last, before]).subarray(-act.length), after]) }]
    case 'delay':
      return [...some(before), { pause: act.ms }, { send: after }]
    case 'cut':
      return [...some(before), { pause: 1 }, { stop: act.how }]
    case 'half-close':
    case 'stall':
      return [...some(before), { stop: act.kind }]
  }
}

const some = (bytes: Buffer): Step[] => (bytes.length > 0 ? [{ send: bytes }] : [])

/** TLS with our side by another certificate, TLS with the next hop, and everything readable in between. */
function pose(client: Socket, hop: Socket, leaf: Leaf, tap: Tap): void {
  for (const socket of [client, hop]) socket.removeAllListeners('data')
  const near = new TLSSocket(client, { isServer: true, secureContext: createSecureContext(leaf) })
  const far = connectTls({ socket: hop, rejectUnauthorized: false })
  near.on('data', (chunk: Buffer) => {
    tap.read.push(chunk)
    far.write(chunk)
  })
  far.on('data', (chunk: Buffer) => near.write(chunk))
  for (const socket of [near, far])
    socket
      .on('error', () => undefined)
      .on('close', () => {
        client.destroy()
        hop.destroy()
      })
}

/**
 * What stands outside TLS records in octets that one connection of ours sent: all of it until a ClientHello at the start of a line,
 * and whatever afterwards is no record (RFC 8446 §5.1: type 20–23, version 3.x, length; the last one may be cut short).
 */
export function outsideTls(sent: Buffer): Buffer {
  let at = 0
  while (at < sent.length && !isRecord(sent, at)) {
    const end = sent.indexOf('\r\n', at)
    if (end < 0) return sent
    at = end + 2
  }
  const clear = sent.subarray(0, at)
  while (at < sent.length && isRecord(sent, at)) at += 5 + (at + 5 <= sent.length ? sent.readUInt16BE(at + 3) : 0)
  return at < sent.length ? Buffer.concat([clear, sent.subarray(at)]) : clear
}

const isRecord = (bytes: Buffer, at: number) => {
  const type = bytes[at] ?? 0
  return type >= 20 && type <= 23 && (at + 1 >= bytes.length || bytes[at + 1] === 3)
}
