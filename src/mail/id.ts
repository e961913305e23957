/** Names for what we make: ids, references that people read to each other, Message-IDs. */
import { randomBytes } from 'node:crypto'

/** Crockford's base32: no i, l, o, u. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

let lastTime = 0
let lastRandom = 0n

/** 26 lower-case Crockford characters: 48 bits of milliseconds, 80 of randomness. Later ids sort after earlier ones of this process. */
export function newId(now: number = Date.now()): string {
  const fresh = now > lastTime
  // Within a millisecond (or when the clock steps back) go on from the last one by a random stride.
  lastRandom = fresh ? number(9) : lastRandom + 1n + number(4)
  lastTime = fresh ? now : lastTime
  return base32((BigInt(lastTime) << 80n) + lastRandom, 26)
}

/** `KJ4F-7Q2M`: what people read to each other; opens nothing. */
export function newReference(): string {
  const text = base32(number(5), 8).toUpperCase()
  return `${text.slice(0, 4)}-${text.slice(4)}`
}

/** A Message-ID with its angle brackets (RFC 5322 §3.6.4). */
export const newMessageId = (host: string): string => `<${newId()}@${host}>`

const number = (bytes: number) => BigInt(`0x${randomBytes(bytes).toString('hex')}`)

function base32(value: bigint, length: number): string {
  let text = ''
  for (let rest = value; text.length < length; rest >>= 5n) text = `${alphabet[Number(rest & 31n)]}${text}`
  return text
}
