/** Which interferences are tried: every kind at every octet, or a sample that a seed determines. */
import type { Direction, Interference } from '../../world/chaos.ts'

/** Octets of an undisturbed delivery in one direction, and where TLS begins in them. */
export type Lengths = { readonly [direction in Direction]: { readonly clear: number; readonly all: number } }

type Placed = (direction: Direction, at: number, random: () => number) => Interference

const lines: { readonly [direction in Direction]: readonly string[] } = {
  back: [
    '250 ok\r\n',
    '220 2.0.0 go ahead\r\n',
    '454 4.7.0 not now\r\n',
    '250-STARTTLS\r\n250 8BITMIME\r\n',
    '\x15\x03\x03\x00\x02\x02\x28',
    '\0',
  ],
  out: ['NOOP\r\n', 'RSET\r\n', 'STARTTLS\r\n', 'EHLO evil.example\r\n', '\x15\x03\x03\x00\x02\x01\x00', '\n'],
}
const pick = <T>(list: readonly T[], random: () => number): T => list[Math.floor(random() * list.length)] as T

/** What can be done at an octet. */
const kinds: readonly Placed[] = [
  (direction, at, random) => ({ kind: 'garble', direction, at, mask: 1 + Math.floor(random() * 255) }),
  (direction, at, random) => ({ kind: 'garble', direction, at, mask: pick([0x01, 0x20, 0x80], random) }),
  (direction, at, random) => ({
    kind: 'inject',
    direction,
    at,
    bytes: Buffer.from(pick(lines[direction], random), 'latin1'),
    apart: false,
  }),
  (direction, at, random) => ({ kind: 'inject', direction, at, bytes: Buffer.from(pick(lines[direction], random), 'latin1'), apart: true }),
  (direction, at, random) => ({ kind: 'inject', direction, at, bytes: Buffer.from([Math.floor(random() * 256)]), apart: false }),
  (direction, at, random) => ({ kind: 'drop', direction, at, length: pick([1, 2, 9], random) }),
  (direction, at, random) => ({ kind: 'duplicate', direction, at, length: pick([1, 5, 16], random) }),
  (direction, at, random) => ({ kind: 'cut', direction, at, how: pick(['end', 'reset'] as const, random) }),
  (direction, at) => ({ kind: 'half-close', direction, at }),
  (direction, at) => ({ kind: 'stall', direction, at }),
  (direction, at) => ({ kind: 'delay', direction, at, ms: 5 }),
]

/** The plainest attack: STARTTLS is gone from what the next hop offers. */
export const strip: Interference = { kind: 'rewrite', direction: 'back', find: /250[- ]STARTTLS\r\n/, by: '250 XXXXXXXX\r\n' }

/** What needs no place: strippers and those who answer for the next hop. */
export const elsewhere: readonly Interference[] = [
  ...[
    '',
    '250 XXXXXXXX\r\n',
    '250 STARTTL\r\n',
    '250 XSTARTTLS\r\n',
    '250 START TLS\r\n',
    '250 STARTTLS\0\r\n',
    '250-STARTTLS\r\n',
    '250 starttls\r\n',
  ].map((by) => ({ kind: 'rewrite', direction: 'back', find: /250[- ]STARTTLS\r\n/, by }) as const),
  { kind: 'rewrite', direction: 'back', find: /^250-[\s\S]*$/, by: '250 partner.example\r\n' },
  { kind: 'rewrite', direction: 'back', find: /^250-[\s\S]*$/, by: '500 5.5.1 EHLO?\r\n' },
  { kind: 'rewrite', direction: 'back', find: /^250-[\s\S]*$/, by: '421 4.3.2 closing\r\n' },
  { kind: 'rewrite', direction: 'back', find: /^220 2\.0\.0.*\r\n/, by: '220 2.0.0 go\r\n250 ok\r\n' },
  { kind: 'rewrite', direction: 'back', find: /^220 2\.0\.0.*\r\n/, by: '250 ok\r\n' },
  { kind: 'rewrite', direction: 'back', find: /^220 2\.0\.0.*\r\n/, by: '220-go\r\n220 ahead\r\n' },
  { kind: 'rewrite', direction: 'out', find: /STARTTLS/, by: 'NOOP' },
  { kind: 'rewrite', direction: 'out', find: /STARTTLS/, by: 'starttls' },
  ...[
    '220 go\r\n',
    '250 ok\r\n',
    '454 4.7.0 no\r\n',
    '502 5.5.1 no\r\n',
    '554 no\r\n',
    '421 bye\r\n',
    '334 \r\n',
    '\r\n',
    '220 go\r\n220 go\r\n',
  ].flatMap((by) => [
    { kind: 'answer', find: 'STARTTLS\r\n', by, forward: false } as const,
    { kind: 'answer', find: 'STARTTLS\r\n', by, forward: true } as const,
  ]),
  { kind: 'answer', find: 'EHLO', by: '250 no.tls.here\r\n', forward: false },
  { kind: 'answer', find: 'EHLO', by: '250-x\r\n250 STARTTLS\r\n220 go\r\n', forward: false },
  { kind: 'answer', find: 'EHLO', by: '250-x\r\n250 STARTTLS\r\n220 go\r\n250 ok\r\n', forward: true },
]

/** How densely: 0 means every kind at each octet, n one kind at one octet in n. */
export type Density = { readonly clear: number; readonly tls: number }

/** Interferences at the octets of both directions, the one behind the last included. */
export function placed(lengths: Lengths, density: Density, random: () => number): Interference[] {
  const plans: Interference[] = []
  for (const direction of ['out', 'back'] as const) {
    for (let at = 0; at <= lengths[direction].all; at++) {
      const one = at <= lengths[direction].clear ? density.clear : density.tls
      if (one === 0) plans.push(...kinds.map((make) => make(direction, at, random)))
      else if (at % one === 0) plans.push(pick(kinds, random)(direction, at, random))
    }
  }
  return plans
}

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
