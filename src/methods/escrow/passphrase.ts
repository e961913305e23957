/** Four words that a sender tells a reader, and the key that Argon2id makes of them. */
import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Algorithm, hashRaw } from '@node-rs/argon2'
import { packageRoot } from '../../ops/package-root.ts'
import { createTurnstile } from '../../ops/turnstile.ts'

/** Bytes of salt of its own that each passphrase gets. */
export const phraseSaltLength = 16

/** spec/escrow.md: 64 MiB, three passes. */
const cost = { algorithm: 2 satisfies Algorithm.Argon2id as Algorithm, memoryCost: 65_536, timeCost: 3, parallelism: 1, outputLen: 32 }

/** `river copper seven lamp`: four of the 7,776 words of the large EFF list, 51 bits. */
export function newPhrase(): string {
  const list = words()
  return Array.from({ length: 4 }, () => list[randomInt(list.length)] ?? '').join(' ')
}

let known: readonly string[] | undefined

/** public/words: the list and its licence. */
function words(): readonly string[] {
  known ??= readFileSync(join(packageRoot, 'public', 'words', 'eff-large.txt'), 'utf8')
    .trim()
    .split('\n')
  if (known.length !== 7776) throw new Error(`the list of words has ${known.length} of its 7776: the installation is damaged`)
  return known
}

/** What was typed, as it was meant: case, spaces, commas and hyphens do not matter. Undefined: no try, for it cannot be four words. */
export function readPhrase(input: string): string | undefined {
  const letters = lettersIn(input.slice(0, 2000))
  // The shortest words have three letters.
  return letters.length < 12 || letters.length > 100 ? undefined : letters
}

const lettersIn = (text: string): string =>
  text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^a-z]/g, '')

const turnstile = createTurnstile({ atOnce: 2, waiting: 32 })

/** 32 bytes of Argon2id. Each takes 64 MiB for a moment, so that few run at once; undefined: too many wait. */
export const mixPhrase = (phrase: string, salt: Buffer): Promise<Buffer | undefined> =>
  turnstile(() => hashRaw(lettersIn(phrase), { ...cost, salt }))
