/** The two encodings that make seven bits of eight (RFC 2045 §6.7, §6.8), line by line. */

export type Encoding = 'quoted-printable' | 'base64'

/**
 * What is pushed comes back encoded, as soon as it can. `lineEnd`: a CRLF of the content stands before the octets.
 * `end`: the rest; with `last` nothing follows in the message, so that its last line is ended too.
 */
export type Encoder = {
  readonly push: (lineEnd: boolean, octets: Buffer) => string
  readonly end: (last: boolean) => string
}

export const encoderOf = (encoding: Encoding): Encoder => (encoding === 'base64' ? base64() : quotedPrintable())

// RFC 2045 §6.8: 76 characters a line.
const octetsOfLine = 57

function base64(): Encoder {
  let held: Buffer = Buffer.alloc(0)
  let begun = false
  const line = (octets: Buffer): string => {
    const written = `${begun ? '\r\n' : ''}${octets.toString('base64')}`
    begun = true
    return written
  }
  return {
    push: (lineEnd, octets) => {
      const all = Buffer.concat([held, Buffer.from(lineEnd ? '\r\n' : ''), octets])
      let written = ''
      let at = 0
      for (; all.length - at >= octetsOfLine; at += octetsOfLine) written += line(all.subarray(at, at + octetsOfLine))
      held = all.subarray(at)
      return written
    },
    end: (last) => {
      const written = held.length > 0 ? line(held) : ''
      return last && begun ? `${written}\r\n` : written
    },
  }
}

// RFC 2045 §6.7 (5): 76 characters, the = of a soft line break among them.
const charactersOfLine = 75

const coded = Array.from({ length: 256 }, (_, octet) => `=${octet.toString(16).toUpperCase().padStart(2, '0')}`)
const isBlank = (octet: number): boolean => octet === 0x20 || octet === 0x09
const isLiteral = (octet: number): boolean => (octet > 0x20 && octet < 0x7f && octet !== 0x3d) || isBlank(octet)

function quotedPrintable(): Encoder {
  let column = 0
  // White space at the end of a line would be lost: it waits for what follows it.
  let blank: number | undefined
  const write = (octet: number, literal: boolean): string => {
    const width = literal ? 1 : 3
    const soft = column + width > charactersOfLine
    if (soft) column = 0
    // A line that begins with a hyphen could be taken for a delimiter, which it was not before it was broken here.
    const plain = literal && !(column === 0 && octet === 0x2d)
    column += plain ? 1 : 3
    return `${soft ? '=\r\n' : ''}${plain ? String.fromCharCode(octet) : coded[octet]}`
  }
  const settle = (literal: boolean): string => {
    const written = blank === undefined ? '' : write(blank, literal)
    blank = undefined
    return written
  }
  const endLine = (): string => {
    const written = `${settle(false)}\r\n`
    column = 0
    return written
  }
  return {
    push: (lineEnd, octets) => {
      let written = lineEnd ? endLine() : ''
      for (const octet of octets) {
        written += settle(true)
        if (isBlank(octet)) blank = octet
        else written += write(octet, isLiteral(octet))
      }
      return written
    },
    end: (last) => {
      const written = settle(false)
      return last && column > 0 ? `${written}\r\n` : written
    },
  }
}
