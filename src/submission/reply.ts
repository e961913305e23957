/** One SMTP reply: code, enhanced status, and a sentence that tells a postmaster what happened and what to do. */

export type Reply = {
  readonly code: number
  /** RFC 3463, such as `5.7.1`; '' where RFC 2034 §4 wants none (greeting, EHLO, 354). */
  readonly status: string
  /** One line of ASCII; foreign text in it has passed a parser. RFC 5321 §4.5.3.1.5: 512 octets with code and status. */
  readonly text: string
  /** The connection ends with this reply. */
  readonly close?: true
}

/** A reply after which the conversation goes on. */
export const reply = (code: number, status: string, text: string): Reply => ({ code, status, text })

/** A reply that ends the connection. */
export const farewell = (code: number, status: string, text: string): Reply => ({ code, status, text, close: true })
