/** The log: JSON lines on stderr, with everything that could open a letter or a mailbox blacked out. */
import { type DestinationStream, destination, type Logger, pino } from 'pino'
import type { Settings } from './settings.ts'

/** Field names that are never written, at the top and one or two levels down. */
const secretFields: ReadonlySet<string> = new Set([
  'secret',
  'password',
  'pass',
  'code',
  'cookie',
  'authorization',
  'token',
  'fileKey',
  'link',
  'subject',
  'content',
  'salt',
])

/**
 * A logger for the whole process. Content, subjects, codes, passwords and link secrets do not belong in it;
 * fields with such names and letter links inside texts are blacked out all the same.
 */
export function createLog(settings: Pick<Settings, 'log.level'>, to: DestinationStream = destination({ dest: 2, sync: true })): Logger {
  const log = pino(
    {
      level: settings['log.level'],
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: (fields) => blackedOut(fields) as Record<string, unknown> },
      // What is an error was described before.
      serializers: { err: (described: unknown) => described },
      hooks: { streamWrite: blackOutLinks },
    },
    to,
  )
  const { child } = log
  log.child = function (this: Logger, bindings: object, options?: object) {
    return child.call(this, blackedOut(bindings) as object, options)
  } as typeof child
  return log
}

/**
 * The fields, or a copy where one of them is a secret. The library's own redaction takes 15 times as long, for it goes through all names for
 * each line, and a line is written for each step of each message.
 */
function blackedOut(fields: unknown, levels = 3): unknown {
  if (fields instanceof Error) return describe(fields)
  if (typeof fields !== 'object' || fields === null || levels === 0 || ArrayBuffer.isView(fields)) return fields
  const known = fields as Record<string, unknown>
  let copy: Record<string, unknown> | undefined
  for (const name of Object.keys(known)) {
    const shown = secretFields.has(name) ? '•••' : blackedOut(name === 'err' ? thrown(known[name]) : known[name], levels - 1)
    if (shown === known[name]) continue
    copy ??= (Array.isArray(fields) ? [...fields] : { ...fields }) as Record<string, unknown>
    copy[name] = shown
  }
  return copy ?? fields
}

/** Portal paths carry the letter's secret (`/m/` and 32 characters): no line may. */
const blackOutLinks = (line: string): string => line.replace(/\/m\/[0-9a-z]{20,}/gi, '/m/•••')

/** What was thrown and is no error may carry anything: a text at most. */
const thrown = (what: unknown): unknown => (what instanceof Error || what === undefined ? what : String(what))

/** An error without the fields that libraries hang on it (requests, messages, keys). */
function describe(error: Error): object {
  const code = 'code' in error && (typeof error.code === 'string' || typeof error.code === 'number') ? { errno: error.code } : {}
  return { name: error.name, message: error.message, stack: error.stack, ...code }
}
