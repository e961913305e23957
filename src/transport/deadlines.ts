/** How long each phase of a delivery may take, however slowly its octets drip (RFC 5321 §4.5.3.2, tightened as spec transport says). */

/** Milliseconds. */
export type Deadlines = {
  readonly connect: number
  readonly greeting: number
  /** Greeting of the last candidate: there is no other to hurry to. */
  readonly lastGreeting: number
  readonly ehlo: number
  readonly handshake: number
  /** Each of MAIL and RCPT. */
  readonly command: number
  /** The 354. */
  readonly dataStart: number
  /** Each block of content. */
  readonly block: number
  readonly finalDot: number
  /** Whole reply to QUIT. */
  readonly quit: number
  /** Everything over one connection: each phase may be just in time, a hundred of them may not. */
  readonly whole: number
  /** How long a connection is kept for the next message. */
  readonly idle: number
  /** How old a connection may be to get another message. */
  readonly reuse: number
}

const second = 1000
const minute = 60 * second

export const deadlines: Deadlines = {
  connect: 30 * second,
  greeting: minute,
  lastGreeting: 5 * minute,
  ehlo: 2 * minute,
  handshake: minute,
  command: 5 * minute,
  dataStart: 2 * minute,
  block: 3 * minute,
  finalDot: 10 * minute,
  quit: 5 * second,
  whole: 60 * minute,
  idle: 5 * second,
  reuse: 5 * minute,
}
