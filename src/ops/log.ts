/** The log: JSON lines on stderr, with everything that could open a letter or a mailbox blacked out. */
import { type DestinationStream, destination, type Logger, pino } from 'pino'
import type { Settings } from './settings.ts'

/** Field names that are never written, at the top and one or two levels down. */
const secretFields = [
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
]
const redacted = secretFields.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])

/**
 * A logger for the whole process. Content, subjects, codes, passwords and link secrets do not belong in it;
 * fields with such names and letter links inside texts are blacked out all the same.
 */
export function createLog(settings: Pick<Settings, 'log.level'>, to: DestinationStream = destination({ dest: 2, sync: true })): Logger {
  return pino(
    {
      level: settings['log.level'],
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: redacted, censor: '•••' },
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => describe(error) },
      hooks: { streamWrite: blackOutLinks },
    },
    to,
  )
}

/** Portal paths carry the letter's secret (`/m/` and 32 characters): no line may. */
const blackOutLinks = (line: string): string => line.replace(/\/m\/[0-9a-z]{20,}/gi, '/m/•••')

/** An error without the fields that libraries hang on it (requests, messages, keys). */
function describe(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && (typeof error.code === 'string' || typeof error.code === 'number') ? { errno: error.code } : {}
  return { name: error.name, message: error.message, stack: error.stack, ...code }
}
