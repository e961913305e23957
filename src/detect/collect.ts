/** Takes the texts out of a mail as it streams by, still encoded: subject, text, HTML, text files, and those of mails inside it. */
import type { Readable } from 'node:stream'
import { contentType, parseContentType, transferEncoding } from '../mail/content-type.ts'
import { decodeWords, field, fields, type Header } from '../mail/header.ts'
import { createWalk, type Walk } from '../mail/mime-walk.ts'

/** The bytes of one text as transferred, and how to read them. */
export type Piece = {
  /** As people call it: `text`, `HTML`, `file "list.csv"`. */
  readonly place: string
  readonly kind: 'text' | 'html'
  readonly encoding: string
  readonly charset: string
  readonly bytes: Buffer
}

/** Decoded subjects, and pieces in the order of the mail. */
export type Collected = { readonly subjects: readonly string[]; readonly pieces: readonly Piece[] }

/** Bytes of all texts as transferred, texts, and mails inside mails: beyond them it is too much to look into. */
const limits = { all: 12 * 1024 * 1024, pieces: 200, nested: 4 }

/** Read the mail to its end. Undefined when its structure or its texts are beyond the limits; rejects when the stream breaks. */
export async function collectTexts(content: Readable): Promise<Collected | undefined> {
  const collecting: Collecting = { subjects: [], pieces: [], room: limits.all, beyond: false }
  const walk = walkInto(collecting, 0)
  for await (const chunk of content as AsyncIterable<Buffer>) {
    if (walk.write(chunk) && !collecting.beyond) continue
    content.destroy()
    return undefined
  }
  if (!walk.end() || collecting.beyond) return undefined
  return {
    subjects: collecting.subjects,
    pieces: collecting.pieces.map(({ chunks, ...piece }) => ({ ...piece, bytes: Buffer.concat(chunks) })),
  }
}

type Collecting = {
  readonly subjects: string[]
  readonly pieces: (Omit<Piece, 'bytes'> & { readonly chunks: Buffer[] })[]
  room: number
  beyond: boolean
}

function walkInto(collecting: Collecting, depth: number): Walk {
  let chunks: Buffer[] | undefined
  let beside: Buffer[] | undefined
  let inside: Walk | undefined
  let first = true
  const keep = (into: Buffer[] | undefined, bytes: Buffer) => {
    if (into === undefined) return
    collecting.room -= bytes.length
    if (collecting.room < 0) collecting.beyond = true
    else into.push(Buffer.from(bytes))
  }
  const subject = (fields: Header) => {
    if (!first) return
    first = false
    const written = field(fields, 'Subject')
    if (written !== undefined) collecting.subjects.push(decodeWords(written))
  }
  const finish = () => {
    if (inside !== undefined && !inside.end()) collecting.beyond = true
    inside = undefined
  }
  const walk = createWalk({
    multipart: (_, fields) => {
      subject(fields)
      if (isAmbiguous(fields)) collecting.beyond = true
    },
    // Shown by some programs, by most where no part follows.
    beside: (bytes) => {
      beside ??= add(collecting, { place: 'text beside the parts', kind: 'text', encoding: '7bit', charset: 'utf-8' })
      keep(beside, bytes)
    },
    leaf: (_, fields) => {
      finish()
      subject(fields)
      chunks = undefined
      if (isAmbiguous(fields)) collecting.beyond = true
      if (isMail.test(contentType(fields).type) && plainEncodings.includes(transferEncoding(fields))) {
        if (depth >= limits.nested) collecting.beyond = true
        else inside = walkInto(collecting, depth + 1)
      } else if (kindOf(fields) !== undefined) chunks = begin(collecting, fields)
    },
    body: (bytes) => {
      if (inside === undefined) keep(chunks, bytes)
      else if (!inside.write(bytes)) collecting.beyond = true
    },
  })
  const end = (): boolean => {
    const whole = walk.end()
    finish()
    return whole && !collecting.beyond
  }
  return { write: (chunk) => walk.write(chunk) && !collecting.beyond, end }
}

function begin(collecting: Collecting, fields: Header): Buffer[] | undefined {
  const kind = kindOf(fields) ?? 'text'
  const name = nameOf(fields)
  const place = name === undefined ? (kind === 'html' ? 'HTML' : 'text') : `file ${JSON.stringify(name.slice(0, 100))}`
  const encoding = transferEncoding(fields)
  // Nobody knows what a reader's program makes of it.
  if (!knownEncodings.includes(encoding)) collecting.beyond = true
  return add(collecting, { place, kind, encoding, charset: contentType(fields).parameters.charset ?? 'utf-8' })
}

/** Where the bytes of one more text go; undefined when there are too many. */
function add(collecting: Collecting, piece: Omit<Piece, 'bytes'>): Buffer[] | undefined {
  if (collecting.pieces.length >= limits.pieces) {
    collecting.beyond = true
    return undefined
  }
  const chunks: Buffer[] = []
  collecting.pieces.push({ ...piece, chunks })
  return chunks
}

const plainEncodings = ['', '7bit', '8bit', 'binary']
const knownEncodings = [...plainEncodings, 'base64', 'quoted-printable']
const isMail = /^message\/(?:rfc822|global)$/

/** Said twice and differently: programs differ in which they believe. */
const isAmbiguous = (header: Header): boolean =>
  ['Content-Type', 'Content-Transfer-Encoding'].some(
    (name) => new Set(fields(header, name).map((value) => value.trim().toLowerCase())).size > 1,
  )

const textual = /^(?:(?:text|message|multipart)\/.*|application\/(?:json|xml|csv|x-csv|rtf|x-yaml|yaml|sql)|.*\+(?:json|xml))$/
const textNames = /\.(?:txt|csv|tsv|json|xml|ya?ml|md|log|ini|sql|eml|vcf|ics)$/i
const htmlNames = /\.(?:html?|xhtml)$/i

/**
 * A text file sent as application/octet-stream is known by its name. A multipart without a boundary is shown as text, and so are mails encoded
 * against the rules (RFC 2045 §6.4, RFC 2046 §5.2.1) and what else is called a message.
 */
function kindOf(fields: Header): Piece['kind'] | undefined {
  const { type } = contentType(fields)
  const name = nameOf(fields) ?? ''
  if (type === 'text/html' || type === 'application/xhtml+xml' || htmlNames.test(name)) return 'html'
  return textual.test(type) || textNames.test(name) ? 'text' : undefined
}

function nameOf(fields: Header): string | undefined {
  const disposition = field(fields, 'Content-Disposition')
  const given = disposition === undefined ? undefined : parseContentType(`x/${disposition.trim()}`).parameters.filename
  const name = given ?? contentType(fields).parameters.name
  return name === undefined ? undefined : decodeWords(name)
}
