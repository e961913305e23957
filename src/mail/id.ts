/** Names for what we make: ids, references that people read to each other, Message-IDs. */
import { randomBytes } from 'node:crypto'

/** Crockford's base32: no i, l, o, u. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

let lastTime = 0
/** The random part of the last id: 32 bits, then 40 bits, so that both are exact numbers. */
let lastHigh = 0
let lastLow = 0

/** 26 lower-case Crockford characters: 48 bits of milliseconds, 80 of randomness. Later ids sort after earlier ones of this process. */
export function newId(now: number = Date.now()): string {
  if (now > lastTime) {
    lastTime = now
    lastHigh = random(4)
    lastLow = random(5)
  } else {
    // Within a millisecond (or when the clock steps back) go on from the last one by a random stride.
    lastLow += 1 + random(4)
    if (lastLow >= 2 ** 40) {
      lastLow -= 2 ** 40
      lastHigh += 1
    }
  }
  return base32(lastTime, 10) + base32(lastHigh, 8) + base32(lastLow, 8)
}

/** What every id made since `at` (milliseconds since 1970) sorts after. */
export const idFloor = (at: number): string => base32(Math.max(0, at), 10)

/** `KJ4F-7Q2M`: what people read to each other; opens nothing. */
export function newReference(): string {
  const text = base32(random(5), 8).toUpperCase()
  return `${text.slice(0, 4)}-${text.slice(4)}`
}

/** A Message-ID with its angle brackets (RFC 5322 §3.6.4). */
export const newMessageId = (host: string): string => `<${newId()}@${host}>`

/** Random bytes drawn ahead: asking the system for a few costs as much as for thousands. */
let drawn = Buffer.alloc(0)
let used = 0

/** A number of so many random bytes, at most six. None is used twice. */
function random(bytes: number): number {
  if (used + bytes > drawn.length) {
    drawn = randomBytes(4096)
    used = 0
  }
  const value = drawn.readUIntBE(used, bytes)
  drawn.fill(0, used, used + bytes)
  used += bytes
  return value
}

function base32(value: number, length: number): string {
  let text = ''
  for (let rest = value; text.length < length; rest = Math.floor(rest / 32)) text = `${alphabet[rest % 32]}${text}`
  return text
}
