/** The server's keys: the epoch keys that wrap what is in the queue, and the keys that wrap salts, sign letters and vouch for envelopes. */
import { createHmac, type KeyObject, randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import type { Clock } from '../ops/clock.ts'
import { unwrapFileKey, type Wrapper, wrapperFor } from './age.ts'
import { openBox, sealBox } from './box.ts'
import { destroyKeyFile, makeKeyFile, prepareKeyFolder, readKeyFile } from './key-files.ts'
import { joinParts } from './parts.ts'
import { permanentKey, type Signer, signerOf } from './signer.ts'
import { privateKeyOf, publicHalf } from './x25519.ts'

export { KeyFileBroken } from './key-files.ts'

export type Keyring = Signer & {
  /** Wrap a file key (16 bytes) for the queue by the current epoch's public key; 64 bytes. */
  readonly wrap: (fileKey: Buffer) => { readonly epoch: string; readonly wrap: Buffer }
  /** The file key; undefined when the epoch key is destroyed or the wrap was changed. */
  readonly unwrap: (epoch: string, wrap: Buffer) => Buffer | undefined
  readonly currentEpoch: () => string
  /** All epochs whose key still exists, oldest first. */
  readonly epochs: () => string[]
  /** Begin a new epoch and return its name; the old ones stay until `destroy`. Rejects when the disk fails: then the old one goes on. */
  readonly rotate: () => Promise<string>
  /** Overwrite and remove an old epoch's key: what is still wrapped by it is lost. Rejects for the current epoch. */
  readonly destroy: (epoch: string) => Promise<void>
  /** HMAC-SHA-256 over the parts, each with its length: no two lists of parts give the same input. */
  readonly mac: (purpose: string, ...parts: (string | Buffer)[]) => Buffer
  readonly sealSalt: (salt: Buffer, aad: Buffer) => Buffer
  readonly openSalt: (sealed: Buffer, aad: Buffer) => Buffer | undefined
  /** Wipe the keys from memory; nothing but `close` may be called afterwards. */
  readonly close: () => void
}

/** Milliseconds that an epoch lasts: a start within it goes on with the same key. */
const epochLife = 3_600_000

/**
 * Open the keys in `folder`, making what is missing (files 0600, folder 0700). Any number of processes get the same keys. Rejects with
 * KeyFileBroken, whose text is meant for the operator, when a key is damaged or open to others.
 */
export async function openKeyring(folder: string, clock: Clock): Promise<Keyring> {
  await prepareKeyFolder(folder)
  const macKey = await permanentKey(folder, 'mac')
  const saltKey = await permanentKey(folder, 'salt')
  const signKey = await permanentKey(folder, 'sign')
  const epochs = await openEpochs(folder, clock)
  const signer = signerOf(signKey)
  return {
    ...epochs,
    mac: (purpose, ...parts) =>
      createHmac('sha256', alive(macKey))
        .update(joinParts([purpose, ...parts]))
        .digest(),
    sealSalt: (salt, aad) => sealBox(alive(saltKey), salt, aad),
    openSalt: (sealed, aad) => openBox(alive(saltKey), sealed, aad),
    sign: (bytes) => alive(signKey) && signer.sign(bytes),
    verify: signer.verify,
    close: () => {
      for (const key of [macKey, saltKey, signKey]) key.fill(0)
      epochs.close()
    },
  }
}

/** After `close` all keys are zero; using one would look as if it worked. */
function alive(key: Buffer): Buffer {
  if (key.every((byte) => byte === 0)) throw new Error('the keyring is closed')
  return key
}

type Epochs = Pick<Keyring, 'wrap' | 'unwrap' | 'currentEpoch' | 'epochs' | 'rotate' | 'destroy' | 'close'>

/** An epoch's name is its first millisecond and some random digits: names sort by age. */
const epochName = /^(\d{13})-[0-9a-f]{8}$/

/** When an epoch began, milliseconds since 1970; 0 for what is no epoch's name. */
export const epochBegan = (epoch: string): number => Number(epochName.exec(epoch)?.[1] ?? 0)
const fileOf = (epoch: string) => `epoch-${epoch}.key`
const agePrefix = 'age-secret-key-' // so that the age command can use the file

/** An epoch's key as node:crypto holds it: OpenSSL wipes the memory when the object is gone. */
type EpochKey = { readonly privateKey: KeyObject; readonly wrapper: Wrapper }

async function openEpochs(folder: string, clock: Clock): Promise<Epochs> {
  const known = new Map<string, EpochKey>()
  let closed = false
  const begin = async () => {
    const epoch = `${String(clock()).padStart(13, '0')}-${randomBytes(4).toString('hex')}`
    const secret = randomBytes(32) // every 32 bytes are an X25519 secret (RFC 7748 §5)
    await makeKeyFile(folder, fileOf(epoch), agePrefix, secret)
    known.set(epoch, epochKey(secret))
    return epoch
  }
  for (const epoch of listEpochs(folder)) epochKeyOf(epoch, known, folder)
  let current = youngest([...known.keys()], clock()) ?? (await begin())
  return {
    wrap: (fileKey) => {
      const key = known.get(current)
      if (!key) throw new Error('the keyring is closed')
      return { epoch: current, wrap: key.wrapper.wrap(fileKey) }
    },
    unwrap: (epoch, wrap) => {
      if (closed) throw new Error('the keyring is closed')
      const key = epochKeyOf(epoch, known, folder)
      return key && unwrapFileKey(wrap, key.privateKey)
    },
    currentEpoch: () => current,
    epochs: () => listEpochs(folder),
    rotate: async () => {
      current = await begin()
      return current
    },
    destroy: async (epoch) => {
      if (epoch === current) throw new Error(`epoch ${epoch} is the current one: rotate first`)
      if (!epochName.test(epoch)) return
      await destroyKeyFile(folder, fileOf(epoch))
      known.get(epoch)?.wrapper.close()
      known.delete(epoch)
    },
    close: () => {
      closed = true
      for (const { wrapper } of known.values()) wrapper.close()
      known.clear()
    },
  }
}

/** The epochs whose key lies in this folder, oldest first; nothing is opened. Throws the file system's error when there is no such folder. */
export const listEpochs = (folder: string): string[] =>
  readdirSync(folder)
    .map((file) => /^epoch-(.+)\.key$/.exec(file)?.[1] ?? '')
    .filter((epoch) => epochName.test(epoch))
    .sort()

/** From memory, else from its file: another process (a command) may have begun it. Undefined when it is destroyed. */
function epochKeyOf(epoch: string, known: Map<string, EpochKey>, folder: string): EpochKey | undefined {
  const found = known.get(epoch)
  if (found || !epochName.test(epoch)) return found
  const secret = readKeyFile(folder, fileOf(epoch), agePrefix)
  if (!secret) return undefined
  const key = epochKey(secret)
  known.set(epoch, key)
  return key
}

function epochKey(secret: Buffer): EpochKey {
  const privateKey = privateKeyOf(secret)
  secret.fill(0)
  return { privateKey, wrapper: wrapperFor(publicHalf(privateKey)) }
}

/** The epoch to go on with: the last one, unless its hour is over or the clock was set back before it. */
function youngest(epochs: readonly string[], now: number): string | undefined {
  const last = epochs.toSorted().at(-1)
  const age = now - Number(last?.slice(0, 13) ?? 0)
  return last !== undefined && age >= 0 && age < epochLife ? last : undefined
}
