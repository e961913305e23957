/** Passwords: which are taken, and their argon2id hashes, made and checked off the event loop, a few at a time. */
import { type Algorithm, hash, verify } from '@node-rs/argon2'
import { createTurnstile } from '../ops/turnstile.ts'

/** The OWASP choice for machines that do more than hash: 19 MiB, two passes. */
const cost = { algorithm: 2 satisfies Algorithm.Argon2id as Algorithm, memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const length = { least: 12, most: 1024 }

/** Why a new password is not taken; undefined: it is. */
export function passwordProblem(password: string): string | undefined {
  if ([...password].length < length.least) return `a password has at least ${length.least} characters`
  if (Buffer.byteLength(password) > length.most) return `a password has at most ${length.most} bytes`
  return /\p{Cc}/u.test(password) ? 'a password has no control characters' : undefined
}

/** RFC 8265 §4.2, in short: one spelling of a password. */
const prepared = (password: string) => password.normalize('NFC')

export const hashPassword = (password: string): Promise<string> => hash(prepared(password), cost)

/** Does the password fit the hash? An undefined hash (nobody has that name) takes as long and never fits. Undefined: too much to do. */
export type PasswordCheck = (known: string | undefined, password: string) => Promise<boolean | undefined>

export function createPasswordCheck(): PasswordCheck {
  const turnstile = createTurnstile({ atOnce: 2, waiting: 64 })
  let decoy: Promise<string> | undefined
  return async (known, password) => {
    if (Buffer.byteLength(password) > length.most) return false
    decoy ??= hash('nobody has this password', cost)
    const against = known ?? (await decoy)
    const fits = await turnstile(() => verify(against, prepared(password)))
    return fits === undefined ? undefined : fits && known !== undefined
  }
}
