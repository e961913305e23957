/** Statements and values on their way to PostgreSQL and back, so that both engines give the same answers. */
import { types } from 'pg'
import type { Statement, Value } from './db.ts'

/** A statement as the pg package takes it. */
export type Prepared = {
  readonly text: string
  readonly values: (string | Buffer | null)[]
  readonly name?: string
  readonly types: Parameters
}
/** pg passes `types` to Parse as the parameters' types, and takes from it the readers of the columns. */
type Parameters = number[] & { readonly getTypeParser: typeof types.getTypeParser }

/** Type numbers of pg_type. */
const [bool, bytea, int8, text, float8, numeric] = [16, 17, 20, 25, 701, 1700]
/** 0: the server infers the type from where the parameter stands. */
const inferred = 0

const readers = new Map<number, (text: string) => unknown>([
  [bool, (value) => (value === 't' ? 1 : 0)], // SQLite has no booleans
  [int8, Number],
  [numeric, Number], // SUM over BIGINT
])
const getTypeParser = ((oid: number, format?: 'text' | 'binary') =>
  readers.get(oid) ?? types.getTypeParser(oid, format as 'text')) as typeof types.getTypeParser

/** Statements kept prepared on each connection: our own texts are some two hundred; generated ones beyond it are parsed each time. */
const preparedLimit = 400
/** By text, then by the kinds of its parameters: a long text is looked up faster than one that was just put together. */
const names = new Map<string, Map<string, string>>()
let named = 0

/** The same text with the same kinds of parameters has the same name on every connection: it is parsed and planned once. */
export function prepared({ text: source, values, anew }: Statement): Prepared {
  const oids = values.map(typeOf)
  const name = anew ? undefined : nameOf(source, oids.join())
  return { text: source, values: values.map(bound), ...(name !== undefined && { name }), types: Object.assign(oids, { getTypeParser }) }
}

function nameOf(source: string, kinds: string): string | undefined {
  const known = names.get(source)
  const name = known?.get(kinds)
  if (name !== undefined || named >= preparedLimit) return name
  named += 1
  const fresh = `s${named}`
  if (known === undefined) names.set(source, new Map([[kinds, fresh]]))
  else known.set(kinds, fresh)
  return fresh
}

/** Named, so that 7 / $1 is a whole number and CAST($1 AS TEXT) spells it as SQLite does. */
function typeOf(value: Value): number {
  if (value === null) return inferred
  if (typeof value === 'string') return text
  if (typeof value === 'object') return bytea
  return Number.isInteger(value) || typeof value === 'bigint' ? int8 : float8
}

function bound(value: Value): string | Buffer | null {
  if (value === null || Buffer.isBuffer(value)) return value
  if (typeof value === 'object') return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  // PostgreSQL has no NUL in a text. One in a peer's reply must not keep a delivery from being recorded.
  return String(value).replaceAll('\0', '\ufffd')
}
