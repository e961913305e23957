/** Reads the body of a request: bounded, UTF-8, JSON or the text of a policy. */
import type { IncomingMessage } from 'node:http'
import { largestPolicy } from '../../routing/tree.ts'
import { type Answer, problem } from './problem.ts'
import type { Route } from './route.ts'

export type Read =
  | { readonly kind: 'body'; readonly bytes: Buffer; readonly value: unknown }
  | { readonly kind: 'refused'; readonly answer: Answer }

/** JSON may write a character of the policy in several bytes. */
const largestJsonPolicy = 2 * largestPolicy
const largestJson = 16 * 1024
const close = { headers: { connection: 'close' } }

/** The body as this route takes it; undefined where it takes none. Rejects when the client goes away. */
export async function readBody(
  request: IncomingMessage,
  { body, yaml = false, long = yaml }: Pick<Route, 'body' | 'yaml' | 'long'>,
): Promise<Read> {
  const announced = Number(request.headers['content-length'] ?? 0)
  const empty = announced === 0 && request.headers['transfer-encoding'] === undefined
  if (body === undefined) {
    const none = { kind: 'body', bytes: Buffer.alloc(0), value: undefined } as const
    return empty ? none : refused(problem('request-malformed', 'this request takes no body', close))
  }
  const type = typeOf(request, yaml)
  if (type === undefined)
    return refused(problem('unsupported-media-type', `Content-Type: ${wanted(yaml)}, in UTF-8, not compressed`, close))
  const most = type === 'yaml' ? largestPolicy : long ? largestJsonPolicy : largestJson
  const bytes = announced > most ? undefined : await collect(request, most)
  if (bytes === undefined) return refused(problem('too-large', `the body has more than ${most} bytes`, close))
  const text = decode(bytes)
  if (text === undefined) return refused(problem('request-malformed', 'the body is not UTF-8'))
  if (type === 'yaml') return { kind: 'body', bytes, value: { text } }
  const value = parse(text)
  return value === undefined ? refused(problem('request-malformed', 'the body is not JSON')) : { kind: 'body', bytes, value: value.json }
}

const refused = (answer: Answer): Read => ({ kind: 'refused', answer })

const wanted = (yaml: boolean): string => (yaml ? 'application/json or application/yaml' : 'application/json')

function typeOf({ headers }: IncomingMessage, yaml: boolean): 'json' | 'yaml' | undefined {
  const [type = '', ...parameters] = (headers['content-type'] ?? '').split(';').map((part) => part.trim().toLowerCase())
  const charset = parameters
    .find((part) => part.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '')
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') return undefined
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') return undefined
  if (type === 'application/json') return 'json'
  return yaml && ['application/yaml', 'text/yaml', 'application/x-yaml'].includes(type) ? 'yaml' : undefined
}

/** Undefined as soon as there is more; the rest is left to the closing of the connection. */
async function collect(request: IncomingMessage, most: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= most) chunks.push(chunk)
      else {
        request.pause()
        resolve(undefined)
      }
    })
    request.once('end', () => resolve(Buffer.concat(chunks)))
    request.once('error', reject)
    request.once('close', () => reject(new Gone()))
  })
}

/** The client went away before its request was whole: nobody is left to answer. */
export class Gone extends Error {}

function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function parse(text: string): { readonly json: unknown } | undefined {
  try {
    return { json: JSON.parse(text) as unknown }
  } catch {
    return undefined
  }
}
