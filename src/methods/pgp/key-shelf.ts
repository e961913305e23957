/** Keys that were read lately: reading one and checking its signatures takes longer than encrypting to it. */
import type { Key } from 'openpgp'

/** Keys kept, and characters of their armored text together. */
const most = { keys: 1000, characters: 4 * 1024 * 1024 }

/** `read` gives the key of an armored text; another text, though of the same fingerprint, is another key here. Rejects as `reading` does. */
export function createKeyShelf(reading: (armored: string) => Promise<Key>, limits = most) {
  const kept = new Map<string, Promise<Key>>()
  let characters = 0
  const drop = (armored: string) => {
    if (kept.delete(armored)) characters -= armored.length
  }
  const read = (armored: string): Promise<Key> => {
    const key = kept.get(armored) ?? reading(armored)
    drop(armored)
    kept.set(armored, key)
    characters += armored.length
    key.catch(() => drop(armored))
    // Oldest first: a Map keeps the order of insertion.
    for (const oldest of kept.keys()) {
      if (kept.size <= limits.keys && characters <= limits.characters) break
      drop(oldest)
    }
    return key
  }
  return { read }
}
