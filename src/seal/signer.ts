/** The key that signs what must not change in the database: letters and policy revisions. It opens without touching any epoch. */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto'
import { makeKeyFile, prepareKeyFolder, readKeyFile } from './key-files.ts'

export type Signer = {
  /** Ed25519 (RFC 8032), 64 bytes. */
  readonly sign: (bytes: Buffer) => Buffer
  readonly verify: (bytes: Buffer, signature: Buffer) => boolean
}

/**
 * Open the signing key in `folder`, making it when it is missing. For commands: unlike `openKeyring` it neither reads nor begins an epoch.
 * Rejects with KeyFileBroken, whose text is meant for the operator.
 */
export async function openSigner(folder: string): Promise<Signer> {
  await prepareKeyFolder(folder)
  return signerOf(await permanentKey(folder, 'sign'))
}

/** The signer with these 32 secret bytes. */
export function signerOf(secret: Buffer): Signer {
  const signer = ed25519(secret)
  const verifier = createPublicKey(signer)
  return {
    sign: (bytes) => sign(null, bytes, signer),
    verify: (bytes, signature) => verify(null, bytes, verifier, signature),
  }
}

/** A key as long as the installation lives: never made anew when the file is there but bad, for letters depend on it. */
export async function permanentKey(folder: string, what: 'mac' | 'salt' | 'sign'): Promise<Buffer> {
  const prefix = `letterlock-${what}-key-`
  return readKeyFile(folder, `${what}.key`, prefix) ?? makeKeyFile(folder, `${what}.key`, prefix, randomBytes(32))
}

/** RFC 8410 §7: what stands before the 32 secret bytes of an Ed25519 key. */
const ed25519Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

const ed25519 = (secret: Buffer): KeyObject =>
  createPrivateKey({ key: Buffer.concat([ed25519Prefix, secret]), format: 'der', type: 'pkcs8' })
