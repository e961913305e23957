/** Method pgp: the message encrypted to its recipients' OpenPGP keys; so it may travel over any channel. */
import { Readable } from 'node:stream'
import { z } from 'zod'
import { messageFacts } from '../../mail/facts.ts'
import { type Header, parseHeader } from '../../mail/header.ts'
import type { Outcome, Reason } from '../../mail/outcome.ts'
import { SealBroken } from '../../seal/payload.ts'
import { type Answer, type Attempt, type AttemptRecipient, contentFault, type MethodKind, type Parts } from '../method.ts'
import { armor, armoredSize, type Ciphertext } from './armor.ts'
import { bodyOf, startOf } from './body.ts'
import { type Budget, createBudget } from './budget.ts'
import { createEncryptor, type Encryptor } from './encrypt.ts'
import { objectionTo } from './key-check.ts'
import { keyFor, type StoredKey, type Trust } from './keys.ts'
import { type Layers, layers } from './mime.ts'

export type PgpOptions = { readonly trust: Trust }

/** Ciphertext of all messages under way together: bytes. Beyond it attempts wait for each other. */
const heldBytes = 128 * 1024 * 1024

export const pgp: MethodKind<PgpOptions> = {
  options: z.strictObject({ trust: z.enum(['direct', 'approved']).default('approved') }),
  inPolicy: true,
  build: (parts) => {
    const tools: Tools = { ...parts, encryptor: createEncryptor(), budget: createBudget(heldBytes) }
    return { attempt: (attempt) => attemptPgp(tools, attempt) }
  },
}

type Tools = Parts & { readonly encryptor: Encryptor; readonly budget: Budget }
type Keyed = { readonly recipient: AttemptRecipient; readonly key: StoredKey }

async function attemptPgp(tools: Tools, attempt: Attempt<PgpOptions>): Promise<ReadonlyMap<string, Answer>> {
  const header = parseHeader(await attempt.content.header())
  const mime = layers(header)
  const objection = mime === undefined ? twoTypes : await unsuited(tools, attempt, header)
  if (mime === undefined || objection !== undefined)
    return new Map(attempt.recipients.map(({ id }) => [id, { outcome: objection ?? twoTypes }]))
  const answers = new Map<string, Answer>()
  const keyed: Keyed[] = []
  for (const recipient of attempt.recipients) {
    const found = await usableKey(tools, recipient, attempt.options.trust)
    if ('kind' in found) answers.set(recipient.id, { outcome: found })
    else keyed.push({ recipient, key: found })
  }
  for (const group of apart(keyed)) {
    for (const [id, outcome] of await sendOrWait(tools, attempt, mime, group)) answers.set(id, { outcome })
  }
  return answers
}

const unsuitable = (reason: Reason, text: string): Outcome => ({ kind: 'unsuitable', reason, text, evidence: {} })

const twoTypes = unsuitable(
  'not-encryptable',
  'the message says twice and differently what its body is, so no part of it can be encrypted as it stands',
)

/** What speaks against encrypting this message at all. */
async function unsuited({ settings }: Tools, { message, content }: Attempt<PgpOptions>, header: Header): Promise<Outcome | undefined> {
  const limit = settings['limits.pgpMessageSize']
  if (message.size > limit) return unsuitable('message-too-large', `the message has ${message.size} bytes; PGP takes at most ${limit}`)
  const { encrypted } = messageFacts(header, await startOf(bodyOf(content.open())))
  return encrypted ? unsuitable('already-encrypted', 'the sender has encrypted the message already; it is not encrypted again') : undefined
}

async function usableKey({ db, clock }: Tools, { address }: AttemptRecipient, trust: Trust): Promise<StoredKey | Outcome> {
  const key = await keyFor(db, address, trust)
  if (key === undefined) return unsuitable('no-key', `no ${trust === 'direct' ? 'directly verified ' : ''}PGP key is known for ${address}`)
  const objection = await objectionTo(key.armored, clock())
  if (objection === undefined) return key
  const text = `the PGP key ${key.fingerprint} of ${address} ${objection}`
  return { kind: 'unsuitable', reason: 'key-unusable', text, evidence: { fingerprint: key.fingerprint } }
}

/** Those named in the header share one encryption; each Bcc recipient gets an own one, so that no key id betrays anybody. */
function apart(keyed: readonly Keyed[]): Keyed[][] {
  const seen = keyed.filter(({ recipient }) => !recipient.bcc)
  const hidden = keyed.filter(({ recipient }) => recipient.bcc)
  return [...(seen.length === 0 ? [] : [seen]), ...hidden.map((one) => [one])]
}

/** A fault of ours (the thread died, the content cannot be read now) delays this group; it must not undo the answers of the others. */
async function sendOrWait(tools: Tools, attempt: Attempt<PgpOptions>, mime: Layers, group: readonly Keyed[]): Promise<[string, Outcome][]> {
  try {
    return await send(tools, attempt, mime, group)
  } catch (error) {
    if (error instanceof SealBroken) return group.map(({ recipient }) => [recipient.id, contentFault(error)])
    tools.log.error({ err: error, message: attempt.message.id }, 'a message could not be encrypted; it waits')
    return group.map(({ recipient }) => [recipient.id, faultOfOurs])
  }
}

const faultOfOurs: Outcome = {
  kind: 'deferred',
  reason: 'local-fault',
  text: 'encrypting the message failed here, a fault of ours; we try again',
  evidence: {},
  retry: { then: 'failed' },
}

async function send(tools: Tools, attempt: Attempt<PgpOptions>, mime: Layers, group: readonly Keyed[]): Promise<[string, Outcome][]> {
  const giveBack = await tools.budget.take(attempt.message.size)
  try {
    const keys = [...new Set(group.map(({ key }) => key.armored))]
    const ciphertext = await tools.encryptor.encrypt(clear(attempt, mime), keys, tools.clock())
    const outcomes = await tools.transport.ship({
      domain: attempt.domain,
      // The content is encrypted: as a notice it may go in clear where no TLS is to be had (spec N1).
      need: { kind: 'notice' },
      reversePath: attempt.message.reversePath,
      recipients: group.map(({ recipient }) => recipient),
      envelope: { ...attempt.message.envelope, body: mime.sevenBit ? '7bit' : attempt.message.envelope.body },
      size: mime.before.length + armoredSize(ciphertext) + mime.after.length,
      open: () => Readable.from(wire(mime, ciphertext), { objectMode: false }),
      sign: 'always',
      signal: attempt.signal,
    })
    return group.flatMap(({ recipient, key }) => {
      const outcome = outcomes.get(recipient.id)
      return outcome === undefined ? [] : [[recipient.id, withKey(outcome, key)]]
    })
  } finally {
    giveBack()
  }
}

/** The MIME entity that is encrypted: protected header, then the body byte for byte. */
const clear = ({ content, signal }: Attempt<PgpOptions>, { inner }: Layers) =>
  Readable.from(
    (async function* () {
      yield inner
      for await (const chunk of bodyOf(content.open())) {
        signal.throwIfAborted()
        yield chunk
      }
    })(),
    { objectMode: false },
  )

function* wire({ before, after }: Layers, ciphertext: Ciphertext): Generator<Buffer> {
  yield before
  yield* armor(ciphertext)
  yield after
}

/** The channel's outcome, told as what it is: an encrypted message on that channel. */
function withKey(outcome: Outcome, { fingerprint, trust }: StoredKey): Outcome {
  const evidence = { ...outcome.evidence, pgp: { fingerprint, trust } }
  if (outcome.kind !== 'delivered') return { ...outcome, evidence }
  return { ...outcome, text: `encrypted to key ${fingerprint.slice(-16)} and ${outcome.text}`, evidence }
}
