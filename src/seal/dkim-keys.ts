/** The private halves of the DKIM keys: files in the key folder; a gateway that runs sees new and removed ones by itself. */
import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { alignedDomains, type DkimAlgorithm, type DkimSigner } from '../mail/dkim.ts'
import { destroyKeyFile, KeyFileBroken, makeSecretText, prepareKeyFolder, readSecretText } from './key-files.ts'

export type DkimKey = DkimSigner & {
  /** Milliseconds since 1970. */
  readonly createdAt: number
}

export type DkimKeys = {
  /** All that can be read, oldest first. What cannot is told once to `complain`. */
  readonly all: () => DkimKey[]
  /**
   * The keys that sign mail whose header From is of this domain: those of the domain itself, else of the nearest one above it that is still
   * aligned; of each algorithm the oldest, RSA first. So a new key signs only once the one before it is removed, and there is time to publish it.
   */
  readonly signersFor: (domain: string) => DkimKey[]
}

const generate = promisify(generateKeyPair)

/** Names sort by age, as those of epoch keys do. */
const fileName = /^(\d{13})-([a-z0-9.-]+)@([^@/]+)\.pem$/
const folderOf = (keyFolder: string) => join(keyFolder, 'dkim')
const fileOf = ({ createdAt, selector, domain }: Pick<DkimKey, 'createdAt' | 'selector' | 'domain'>) =>
  `${String(createdAt).padStart(13, '0')}-${selector}@${domain}.pem`

/** The DKIM keys below the folder of keys; there may be none, and no folder. */
export function openDkimKeys(keyFolder: string, complain: (text: string) => void): DkimKeys {
  const known = new Map<string, DkimKey>()
  const complained = new Set<string>()
  const orComplain = <T>(read: () => T[]): T[] => {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof KeyFileBroken)) throw error
      if (!complained.has(error.message)) complain(error.message)
      complained.add(error.message)
      return []
    }
  }
  const read = (file: string): DkimKey[] => {
    const key = known.get(file) ?? readKey(folderOf(keyFolder), file)
    if (key) known.set(file, key)
    return key ? [key] : []
  }
  const all = () => orComplain(() => listFiles(folderOf(keyFolder))).flatMap((file) => orComplain(() => read(file)))
  return { all, signersFor: (domain) => signersAmong(all(), domain) }
}

function signersAmong(keys: readonly DkimKey[], domain: string): DkimKey[] {
  const nearest = alignedDomains(domain).find((name) => keys.some((key) => key.domain === name))
  const own = keys.filter((key) => key.domain === nearest)
  return (['rsa', 'ed25519'] as const).flatMap((algorithm) => own.find((key) => key.algorithm === algorithm) ?? [])
}

/**
 * Make and store a key (RSA: 2048 bits). Undefined when the selector is taken in this domain. `domain` and `selector` must be canonical:
 * lower case, A-labels.
 */
export async function makeDkimKey(
  keyFolder: string,
  { domain, selector, algorithm, createdAt }: Omit<DkimKey, 'privateKey'>,
): Promise<DkimKey | undefined> {
  const folder = folderOf(keyFolder)
  await prepareKeyFolder(folder)
  if (listFiles(folder).some((file) => file.endsWith(`-${selector}@${domain}.pem`) && fileName.exec(file)?.[2] === selector))
    return undefined
  const privateKey = await newPrivateKey(algorithm)
  const key = { domain, selector, algorithm, createdAt, privateKey }
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  return (await makeSecretText(folder, fileOf(key), pem)) ? key : undefined
}

/** Overwrite and remove a key. */
export const destroyDkimKey = (keyFolder: string, key: DkimKey): Promise<void> => destroyKeyFile(folderOf(keyFolder), fileOf(key))

async function newPrivateKey(algorithm: DkimAlgorithm): Promise<KeyObject> {
  // RFC 8301 §3.2: signers use at least 2048 bits; more would not fit into one UDP answer everywhere.
  const { privateKey } = algorithm === 'rsa' ? await generate('rsa', { modulusLength: 2048 }) : await generate('ed25519')
  return privateKey
}

function readKey(folder: string, file: string): DkimKey | undefined {
  const [, created, selector, domain] = fileName.exec(file) ?? []
  const pem = readSecretText(folder, file)
  if (pem === undefined || selector === undefined || domain === undefined) return undefined
  const privateKey = privateKeyOf(pem)
  const algorithm = privateKey?.asymmetricKeyType
  if (privateKey === undefined || (algorithm !== 'rsa' && algorithm !== 'ed25519'))
    throw new KeyFileBroken(
      `The DKIM key ${join(folder, file)} is damaged: it holds no RSA or Ed25519 key. Remove it, and make another one with \`letterlock keys dkim create ${domain}\`.`,
    )
  return { domain, selector, algorithm, privateKey, createdAt: Number(created) }
}

function privateKeyOf(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem)
  } catch {
    return undefined
  }
}

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => fileName.test(file))
      .sort()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw new KeyFileBroken(
      `The folder of DKIM keys ${folder} cannot be read (${String(error instanceof Error && 'code' in error ? error.code : error)}).`,
    )
  }
}
