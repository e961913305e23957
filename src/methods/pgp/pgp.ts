/** Method pgp: the message encrypted to its recipients' OpenPGP keys; so it may travel over any channel. */
import { Readable } from 'node:stream'
import { z } from 'zod'
import { messageFacts } from '../../mail/facts.ts'
import { type Header, parseHeader } from '../../mail/header.ts'
import type { Outcome, Reason } from '../../mail/outcome.ts'
import { SealBroken } from '../../seal/payload.ts'
import { type Answer, type Attempt, type AttemptRecipient, contentFault, type MethodKind, type Parts } from '../method.ts'
import { bodyOf, startOf } from './body.ts'
import { type Budget, createBudget } from './budget.ts'
import { createEncryptor, type Encryptor } from './encrypt.ts'
import { keyFor, type StoredKey, type Trust } from './keys.ts'
import { type Layers, layers } from './mime.ts'

export type PgpOptions = { readonly trust: Trust }

/** Armored text of all messages under way together: bytes. Beyond it attempts wait for each other. */
const heldBytes = 128 * 1024 * 1024
/** Armored text is larger than what was encrypted (base64 with line ends), and the library holds pieces of it for a while. */
const growth = 1.5

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
  for (const { recipient, found } of await usableKeys(tools, attempt)) {
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

type Found = { readonly recipient: AttemptRecipient; readonly found: StoredKey | Outcome }

/** For each recipient the key to encrypt to, or why there is none. */
async function usableKeys({ db, clock, encryptor, log }: Tools, { recipients, options, message }: Attempt<PgpOptions>): Promise<Found[]> {
  const known = await Promise.all(
    recipients.map(async (recipient) => ({ recipient, key: await keyFor(db, recipient.address, options.trust) })),
  )
  const armored = [...new Set(known.flatMap(({ key }) => key?.armored ?? []))]
  const objections = await encryptor.objections(armored, clock()).catch((error: unknown) => {
    log.error({ err: error, message: message.id }, 'the PGP keys of a message could not be judged; it waits')
    return undefined
  })
  return known.map(({ recipient, key }) => {
    if (key === undefined) return { recipient, found: withoutKey(recipient, options.trust) }
    if (objections === undefined) return { recipient, found: faultOfOurs }
    const objection = objections[armored.indexOf(key.armored)]
    return { recipient, found: objection === undefined ? key : unusable(key, objection) }
  })
}

const withoutKey = ({ address }: AttemptRecipient, trust: Trust): Outcome =>
  unsuitable('no-key', `no ${trust === 'direct' ? 'directly verified ' : ''}PGP key is known for ${address}`)

const unusable = ({ fingerprint, address }: StoredKey, objection: string): Outcome => ({
  kind: 'unsuitable',
  reason: 'key-unusable',
  text: `the PGP key ${fingerprint} of ${address} ${objection}`,
  evidence: { fingerprint },
})

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
  const { size } = attempt.message
  const giveBack = await tools.budget.take(size * growth)
  try {
    const keys = [...new Set(group.map(({ key }) => key.armored))]
    const armored = await tools.encryptor.encrypt(clear(attempt, mime), size, keys, tools.clock())
    const outcomes = await tools.transport.ship({
      domain: attempt.domain,
      // The content is encrypted: as a notice it may go in clear where no TLS is to be had (spec N1).
      need: { kind: 'notice' },
      reversePath: attempt.message.reversePath,
      recipients: group.map(({ recipient }) => recipient),
      envelope: { ...attempt.message.envelope, body: mime.sevenBit ? '7bit' : attempt.message.envelope.body },
      size: mime.before.length + armored.size + mime.after.length,
      open: () => Readable.from([mime.before, ...armored.text, mime.after], { objectMode: false }),
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

/** The channel's outcome, told as what it is: an encrypted message on that channel. */
function withKey(outcome: Outcome, { fingerprint, trust }: StoredKey): Outcome {
  const evidence = { ...outcome.evidence, pgp: { fingerprint, trust } }
  if (outcome.kind !== 'delivered') return { ...outcome, evidence }
  return { ...outcome, text: `encrypted to key ${fingerprint.slice(-16)} and ${outcome.text}`, evidence }
}
