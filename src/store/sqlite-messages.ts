/** Writes and their answers as they go from one thread to another: flat lists cost least to copy, and all bytes go in one piece, handed over. */
import Database from 'better-sqlite3'
import { type Row, type Statement, Unexpected, type Value } from './db.ts'

/** What is told to the thread first. `failpoint`: see armFailpoint. */
export type Opening = { readonly path: string; readonly failpoint: string | undefined }

/** What is asked of the thread; each is answered under its `number`. */
export type Asked =
  | { readonly kind: 'write'; readonly number: number; readonly packed: Packed }
  | { readonly kind: 'empty-log' | 'close'; readonly number: number }

/** `outcomes`: of each write that was asked for under this number; or what kept all of them from being begun. */
export type Answer = { readonly number: number; readonly outcomes: readonly Outcome[] | Failure }

/** Of one write: the rows of each statement, or how many statements there were when none returned a row; or what was wrong. */
export type Outcome = number | Row[][] | Failure
export type Failure = { readonly name: string; readonly message: string; readonly code: string | undefined }

/**
 * Writes, one behind the other: how many statements, then of each its text (or the number of a text that came before), `expect` or -1, whether
 * `sealed`, how many values, and these; `undefined` stands for the next bytes, whose length is the next of `sizes`.
 */
export type Packed = { readonly flat: readonly Flat[]; readonly sizes: readonly number[]; readonly bytes: Uint8Array }
type Flat = string | number | bigint | boolean | null | undefined

/** Texts that go over once only: our own. Generated ones come on top, and are sent each time. */
const mostTexts = 500

/** Packs for one thread, which unpacks in the same order with `unpacker`. */
export function packer(): (writes: readonly (readonly Statement[])[]) => Packed {
  const numbers = new Map<string, number>()
  const numbered = (text: string): Flat => {
    const number = numbers.get(text)
    if (number !== undefined) return number
    if (numbers.size < mostTexts) numbers.set(text, numbers.size)
    return text
  }
  return (writes) => {
    const pieces = writes.flat().flatMap(({ values }) => values.filter((value) => value instanceof Uint8Array))
    // First: where there is no memory for them nothing goes over, and no text may be taken for known there.
    const bytes = joined(pieces)
    const flat: Flat[] = []
    for (const statements of writes) {
      flat.push(statements.length)
      for (const { text, expect = -1, sealed = false, values } of statements) {
        flat.push(numbered(text), expect, sealed, values.length)
        for (const value of values) flat.push(value instanceof Uint8Array ? undefined : value)
      }
    }
    return { flat, sizes: pieces.map(({ length }) => length), bytes }
  }
}

/** In memory of their own: a small Buffer lies in a pool, all of which would be copied. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

/** Can it go over? What cannot is a bug of ours, and must not spoil the writes that it would travel with. */
export const isValue = (value: unknown): value is Value =>
  value === null || ['string', 'number', 'bigint'].includes(typeof value) || value instanceof Uint8Array

/** The other side of `packer`. */
export function unpacker(): (packed: Packed) => Statement[][] {
  const texts: string[] = []
  return ({ flat, sizes, bytes }) => {
    let [at, piece, offset] = [0, 0, 0]
    const number = () => Number(flat[at++])
    const text = (): string => {
      const given = flat[at++]
      if (typeof given === 'number') return texts[given] ?? ''
      if (texts.length < mostTexts) texts.push(String(given))
      return String(given)
    }
    const value = (): Value => {
      const given = flat[at++]
      if (given !== undefined) return given as Value
      const size = sizes[piece++] ?? 0
      offset += size
      return Buffer.from(bytes.buffer, bytes.byteOffset + offset - size, size)
    }
    const statement = (): Statement => {
      const [which, expect, sealed] = [text(), number(), flat[at++] === true]
      const values = Array.from({ length: number() }, value)
      return { text: which, values, ...(expect >= 0 && { expect }), ...(sealed && { sealed }) }
    }
    const writes: Statement[][] = []
    while (at < flat.length) writes.push(Array.from({ length: number() }, statement))
    return writes
  }
}

/** Most writes return no row: then a number does. */
export const packRows = (rows: Row[][]): Outcome => (rows.every(({ length }) => length === 0) ? rows.length : rows)

export function packError(error: unknown): Failure {
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  return { name, message, code: error instanceof Error && 'code' in error ? String(error.code) : undefined }
}

/** Bytes come over as plain arrays of octets. Throws what went wrong. */
export function unpackOutcome(outcome: Outcome): Row[][] {
  if (typeof outcome === 'number') return Array.from({ length: outcome }, () => [])
  if (!Array.isArray(outcome)) throw unpackError(outcome as Failure)
  for (const row of outcome.flat())
    for (const [name, value] of Object.entries(row))
      if (value instanceof Uint8Array) row[name] = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return outcome as Row[][]
}

export function unpackError({ name, message, code }: Failure): Error {
  if (name === 'Unexpected') return new Unexpected(message)
  if (code?.startsWith('SQLITE_')) return new Database.SqliteError(message, code)
  return Object.assign(new Error(message), { name, ...(code !== undefined && { code }) })
}
