/** Reads a file of OpenPGP public keys and judges whether mail may be encrypted to them. */
import { enums, type Key, readKeys } from 'openpgp'
import { parseMailboxes } from '../../mail/address.ts'
import { keyLimits, openPgpConfig } from './openpgp-limits.ts'

/** A key that mail can be encrypted to now. */
export type CheckedKey = {
  /** Upper-case hex. */
  readonly fingerprint: string
  /** Of its valid user ids, lower case, once each; at least one. */
  readonly addresses: readonly string[]
  readonly armored: string
  /** Milliseconds since 1970; null: never. */
  readonly expiresAt: number | null
}

export type KeyFile = { readonly kind: 'keys'; readonly keys: readonly CheckedKey[] } | { readonly kind: 'refused'; readonly text: string }

/** Read a file, armored or binary; one bad key refuses it whole, with a sentence that says what to do. `now` in milliseconds. */
export async function checkKeyFile(file: Buffer, now: number): Promise<KeyFile> {
  if (file.length > keyLimits.fileBytes) return refused(`the file has ${file.length} bytes; a key file may have 1 MiB (${minimal})`)
  const parsed = await parse(file)
  if (typeof parsed === 'string') return refused(parsed)
  if (parsed.length > keyLimits.keys) return refused(`the file holds ${parsed.length} keys; import at most ${keyLimits.keys} at once`)
  const keys: CheckedKey[] = []
  for (const key of parsed) {
    const name = `key ${key.getFingerprint().toUpperCase()}`
    const objection = oversize(key) ?? (await objectionToKey(key, now))
    if (objection !== undefined) return refused(`${name} ${objection}`)
    const addresses = await validAddresses(key, now)
    if (addresses.length === 0) return refused(`${name} has no valid user id with a mail address`)
    keys.push({
      fingerprint: key.getFingerprint().toUpperCase(),
      addresses,
      armored: key.armor(openPgpConfig),
      expiresAt: await expiry(key, now),
    })
  }
  return { kind: 'keys', keys }
}

const minimal = 'export a small copy: gpg --armor --export-options export-minimal --export ADDRESS'
const refused = (text: string): KeyFile => ({ kind: 'refused', text })

async function parse(file: Buffer): Promise<Key[] | string> {
  const text = file.toString('latin1')
  if (text.includes('-----BEGIN PGP PRIVATE KEY BLOCK-----')) return privateKey
  const blocks = text.split('-----BEGIN PGP PUBLIC KEY BLOCK-----').length - 1
  if (blocks > 1) return 'the file holds several armored blocks; import them one by one, or export all keys into one block'
  try {
    const config = openPgpConfig
    const keys =
      blocks === 1
        ? await readKeys({ armoredKeys: file.toString('utf8'), config })
        : await readKeys({ binaryKeys: new Uint8Array(file), config })
    if (keys.some((key) => key.isPrivate())) return privateKey
    return keys.length === 0 ? 'the file holds no OpenPGP key' : keys
  } catch (error) {
    return `the file is no readable OpenPGP public key (${sentence(error)})`
  }
}

const privateKey =
  'the file holds a private key, which nobody but its owner should have; export the public key: gpg --armor --export ADDRESS'

/** Bounds that are checked before any signature is: a flooded key must not cost more than reading it. */
function oversize(key: Key): string | undefined {
  const signatures = key.toPacketList().filterByTag(enums.packet.signature).length
  if (key.users.length > keyLimits.userIds) return `has ${key.users.length} user ids, more than ${keyLimits.userIds}; ${minimal}`
  if (key.subkeys.length > keyLimits.subkeys) return `has ${key.subkeys.length} subkeys, more than ${keyLimits.subkeys}; ${minimal}`
  if (signatures > keyLimits.signatures) return `carries ${signatures} signatures, more than ${keyLimits.signatures}; ${minimal}`
  const bits = Math.max(...key.getKeys().map((one) => one.getAlgorithmInfo().bits ?? 0))
  return bits > keyLimits.rsaBits ? `has ${bits} bits, more than ${keyLimits.rsaBits}` : undefined
}

/** Why mail cannot be encrypted to a key now, or undefined when it can. `now` in milliseconds. */
export async function objectionToKey(key: Key, now: number): Promise<string | undefined> {
  const date = new Date(now)
  try {
    if (await key.isRevoked(undefined, undefined, date, openPgpConfig)) return 'is revoked: ask its owner for the new one'
    await key.verifyPrimaryKey(date, undefined, openPgpConfig)
  } catch (error) {
    return `cannot be used now: ${sentence(error)}`
  }
  try {
    await key.getEncryptionKey(undefined, date, undefined, openPgpConfig)
    return undefined
  } catch (error) {
    return `has no part that mail can be encrypted to now; it is missing, expired, revoked or too weak (${sentence(error)})`
  }
}

/** The library's message without its class name; never longer than a line. */
const sentence = (error: unknown) => (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').slice(0, 200)

async function validAddresses(key: Key, now: number): Promise<string[]> {
  const found = new Set<string>()
  for (const user of key.users) {
    const valid = await user.verify(new Date(now), openPgpConfig).catch(() => false)
    const addresses = valid ? parseMailboxes(user.userID?.userID ?? '') : []
    // A user id names one person; a list in it is somebody's trick.
    if (addresses.length === 1 && addresses[0] !== undefined) found.add(addresses[0].address.toLowerCase())
  }
  return [...found]
}

/** The first moment at which it can no longer be encrypted to. */
async function expiry(key: Key, now: number): Promise<number | null> {
  const encryption = await key.getEncryptionKey(undefined, new Date(now), undefined, openPgpConfig)
  const ends = [await key.getExpirationTime(undefined, openPgpConfig), await encryption.getExpirationTime(undefined, openPgpConfig)]
  const first = Math.min(...ends.map((end) => (end === null ? 0 : Number(end))))
  return Number.isFinite(first) ? first : null
}
