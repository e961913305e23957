/** What a backup says of itself: the last file in it, which names all others with their hashes. */
import { z } from 'zod'
import { ArchiveBroken } from './tar.ts'

/** The format this program writes; it reads no newer one. */
export const backupFormat = 1

export const manifestName = 'manifest.json'
export const databaseName = 'database.sqlite'
export const settingsName = 'settings.yaml'

/** A file whose name could lead out of the folder is refused, whoever wrote the manifest. */
const fileName = /^(?:database\.sqlite|settings\.yaml|(?:keys|tls)\/[A-Za-z0-9][A-Za-z0-9._-]{0,80}|blobs\/[0-9a-f]{32})$/

const manifest = z.object({
  format: z.number(),
  program: z.literal('letterlock'),
  version: z.string(),
  /** Milliseconds since 1970. */
  madeAt: z.number(),
  hostname: z.string(),
  /** `postgres`: the database is not in the backup. */
  database: z.enum(['sqlite', 'postgres']),
  /** Whether the keys of the hours are in it: without them waiting mail cannot be opened. */
  epochKeys: z.boolean(),
  /** What stood in the snapshot of the database. */
  counts: z.object({ messages: z.number(), waiting: z.number(), held: z.number(), letters: z.number() }),
  /** Messages that were delivered or returned while the backup was made: their content is not in it. */
  gone: z.array(z.string()),
  /** Names of the settings that came from the environment, not from the file. */
  environment: z.array(z.string()),
  files: z.array(z.object({ name: z.string().regex(fileName), size: z.number(), sha256: z.string() })),
})
export type Manifest = z.infer<typeof manifest>

/** Whether a backup may hold a file of this name. */
export const isFileName = (name: string): boolean => fileName.test(name)

/** Throws ArchiveBroken when it is no manifest, or one of a newer program. */
export function readManifest(text: string): Manifest {
  const raw = parsed(text)
  const format = typeof raw === 'object' && raw !== null && 'format' in raw ? Number(raw.format) : 0
  if (format > backupFormat)
    throw new ArchiveBroken(
      `it has format ${format}, and this program knows ${backupFormat}: restore it with the version that made it, or a newer one`,
    )
  const read = manifest.safeParse(raw)
  if (!read.success) throw new ArchiveBroken('its manifest cannot be read')
  return read.data
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
