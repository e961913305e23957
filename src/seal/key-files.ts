/** Secrets of 32 bytes as files that only their owner may read: made once, checked when read, overwritten when destroyed. */
import { randomBytes } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs'
import { link, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, syncFolder } from '../ops/folder.ts'
import { decodeBech32, encodeBech32 } from './bech32.ts'

/** A key file is missing, damaged or open to others; the text says which, and what to do. Nothing secret is in it. */
export class KeyFileBroken extends Error {
  override readonly name = 'KeyFileBroken'
}

/** Make the folder of keys with mode 0700, or make sure that an existing one is closed to others. Clears what a crash left over. */
export async function prepareKeyFolder(folder: string): Promise<void> {
  makeFolder(folder)
  refuseOthers(statSync(folder).mode, `folder of keys ${folder}`, `chmod 700 ${folder}`)
  for (const name of await readdir(folder)) {
    if (name.endsWith('.destroying')) await overwrite(folder, join(folder, name))
    if (name.startsWith('.new-') && Date.now() - (await stat(join(folder, name))).mtimeMs > 60_000)
      await overwrite(folder, join(folder, name))
  }
}

/**
 * The 32 bytes in `<folder>/<name>`, spelt in bech32 with `prefix`: a damaged file is noticed. Undefined when there is no such file.
 * Reads at once: it is one line, and rarely needed.
 */
export function readKeyFile(folder: string, name: string, prefix: string): Buffer | undefined {
  const text = readSecretText(folder, name)
  if (text === undefined) return undefined
  const secret = decodeBech32(prefix, text.trim())
  if (secret?.length === 32) return secret
  throw new KeyFileBroken(
    `The key file ${join(folder, name)} is damaged: it holds no ${prefix.toUpperCase()}1… key. Restore it from a backup, or, if all that it sealed may be lost, move it away.`,
  )
}

/** The text of a key file of any form, refused when others may read it; undefined when there is no such file. */
export function readSecretText(folder: string, name: string): string | undefined {
  const path = join(folder, name)
  const file = openExisting(path)
  if (file === undefined) return undefined
  try {
    const state = fstatSync(file)
    if (!state.isFile()) throw new KeyFileBroken(`${path} should be a key file, but is no plain file. Move it away.`)
    refuseOthers(state.mode, `key file ${path}`, `chmod 600 ${path}`)
    return readFileSync(file, 'latin1')
  } finally {
    closeSync(file)
  }
}

/**
 * Store a new secret; it would survive a power cut when this resolves. When another process was faster its secret stays and is returned:
 * all processes use the same.
 */
export async function makeKeyFile(folder: string, name: string, prefix: string, secret: Buffer): Promise<Buffer> {
  const won = await makeSecretText(folder, name, `${encodeBech32(prefix, secret).toUpperCase()}\n`)
  const stored = won ? secret : readKeyFile(folder, name, prefix)
  if (!stored) throw new KeyFileBroken(`The key file ${join(folder, name)} disappeared while it was being made. Start again.`)
  return stored
}

/** Store a secret of any form in a new file of mode 0600, safe from a power cut when this resolves. False when the name is taken. */
export async function makeSecretText(folder: string, name: string, text: string): Promise<boolean> {
  const unfinished = join(folder, `.new-${randomBytes(4).toString('hex')}-${name}`)
  await writeSynced(unfinished, text, 'wx')
  const won = await linked(unfinished, join(folder, name))
  await rm(unfinished)
  await syncFolder(folder)
  return won
}

/**
 * Destroy a key: renamed first, so that a crash half-way leaves no damaged key, then overwritten and removed. A drive that copies on write
 * may keep old blocks: that is why keys live for hours only.
 */
export async function destroyKeyFile(folder: string, name: string): Promise<void> {
  const doomed = join(folder, `${name}.destroying`)
  try {
    await rename(join(folder, name), doomed)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  await syncFolder(folder)
  await overwrite(folder, doomed)
}

async function overwrite(folder: string, path: string): Promise<void> {
  try {
    const { size } = await stat(path)
    await writeSynced(path, Buffer.alloc(size), 'r+')
    await rm(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error // another process, starting like us, finished it
  }
  await syncFolder(folder)
}

async function writeSynced(path: string, content: string | Buffer, flag: 'wx' | 'r+'): Promise<void> {
  const file = await open(path, flag, 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** False when the name is taken. Unlike a rename, a link never replaces what is there. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** A link in place of a key file is refused (O_NOFOLLOW): it could lead out of the closed folder. */
function openExisting(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new KeyFileBroken(
      `The key file ${path} cannot be read (${codeOf(error)}). It must be a plain file of the user that runs Letterlock.`,
    )
  }
}

function refuseOthers(mode: number, what: string, command: string): void {
  if ((mode & 0o077) === 0) return
  throw new KeyFileBroken(`The ${what} is open to other users of this machine (mode ${(mode & 0o777).toString(8)}). Close it: ${command}`)
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : String(error))
