/** The method that reaches everybody: the message stays sealed here, and its recipient gets a notice with a link. */

import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { parseMailboxes } from '../../mail/address.ts'
import { decodeWords, field, type Header, oneLine, parseHeader } from '../../mail/header.ts'
import { failpoint } from '../../ops/failpoint.ts'
import { duration } from '../../ops/settings-kinds.ts'
import { type Answer, type Attempt, type AttemptRecipient, contentFault, type MethodKind, type Parts } from '../method.ts'
import { listAttachments } from './attachments.ts'
import { type Proof, ruleProofs } from './binding.ts'
import type { Meta } from './header.ts'
import { labelFor } from './label.ts'
import { sealLetter } from './letter.ts'
import { composeNotice } from './notice.ts'
import { type LanguageName, languageNamed, languageNames, longDate } from './notice-text.ts'
import { type Demand, demandFor, onClearPath, onDowngrade, type ProofOptions } from './proof.ts'

const shortest = 60 * 60_000
const longest = 365 * 24 * 60 * 60_000

// A parsed value (milliseconds) parses to itself: frozen plans keep what was parsed.
const expires = z.union([z.string(), z.number().int()]).transform((value, context): number => {
  const read = typeof value === 'number' ? { value } : duration.read(value, '')
  if ('value' in read && read.value >= shortest && read.value <= longest) return read.value
  context.addIssue({ code: 'custom', message: 'must be a duration from 1h to 365d, such as 14d' })
  return z.NEVER
})

/** `expires` in milliseconds. What is not given here comes from the settings `escrow.*` and `notice.*`. */
export type EscrowOptions = ProofOptions & {
  readonly expires?: number | undefined
  readonly subject?: 'neutral' | 'original' | undefined
  readonly languages?: readonly LanguageName[] | undefined
}

const options: z.ZodType<EscrowOptions> = z.strictObject({
  proof: z.enum(ruleProofs).optional(),
  'on-downgrade': z.enum(onDowngrade).optional(),
  'on-clear-path': z.enum(onClearPath).optional(),
  expires: expires.optional(),
  subject: z.enum(['neutral', 'original']).optional(),
  languages: z
    .array(z.enum(languageNames as [LanguageName, ...LanguageName[]]))
    .min(1)
    .optional(),
})

export const escrow: MethodKind<EscrowOptions> = {
  options,
  inPolicy: true,
  build: (parts) => ({ attempt: (attempt) => sealForAll(parts, attempt) }),
}

/** One payload, one letter for each recipient: each reads, expires and is recalled alone. */
async function sealForAll(parts: Parts, attempt: Attempt<EscrowOptions>): Promise<ReadonlyMap<string, Answer>> {
  const demand = demandFor(attempt.options, attempt.earlier, parts.settings)
  if (demand.kind === 'person') return new Map(attempt.recipients.map(({ id }) => [id, heldFor(attempt, demand)]))
  const opened = await readMeta(attempt)
  if ('outcome' in opened) return new Map(attempt.recipients.map(({ id }) => [id, opened]))
  const { header, meta } = opened
  const answers = new Map<string, Answer>()
  for (const recipient of attempt.recipients) {
    answers.set(recipient.id, await sealForOne(parts, attempt, recipient, { proof: demand.proof, header, meta }))
    // A thousand letters take seconds: others get their turn in between.
    await setImmediate()
  }
  return answers
}

/** What is sealed beside the header, or why the stored content cannot be read: that must not become a letter. */
async function readMeta({ content }: Attempt<EscrowOptions>): Promise<{ header: Header; meta: Meta } | Answer> {
  try {
    const header = parseHeader(await content.header())
    const subject = oneLine(decodeWords(field(header, 'Subject') ?? '').replace(/\s+/g, ' '))
    return { header, meta: { subject, attachments: (await listAttachments(content.open())) ?? null } }
  } catch (error) {
    return { outcome: contentFault(error) }
  }
}

/**
 * What asks for more proof than there is, is not done with less (spec "Proof"): a person decides. Released, it is tried again from the step
 * that saw why.
 */
function heldFor({ earlier }: Attempt<EscrowOptions>, { because, asked, backTo }: Extract<Demand, { kind: 'person' }>): Answer {
  const seen = earlier[backTo]
  const why = {
    downgrade: `the recipient's mail path looks attacked (${seen?.reason}: ${seen?.text}), so a code sent over it proves nothing`,
    'clear-path': `the recipient's mail path is not encrypted (${seen?.text}), and there the rule demands a second factor`,
    rule: 'the rule demands a letter with a second factor',
  }[because]
  const missing = asked === 'hold' ? '' : '; second factors are not available in this version'
  return {
    outcome: {
      kind: 'deferred',
      reason: because === 'downgrade' ? 'downgrade-suspected' : 'not-available',
      text: `${why}${missing}`,
      next: 'it is held until an administrator releases it, to be tried again, or returns it',
      evidence: { asked, because },
      retry: { then: 'failed' },
      // RFC 3463 §3.8: X.7.0, a security status that no other code tells.
      status: '4.7.0',
    },
    hold: { backTo },
  }
}

async function sealForOne(
  parts: Parts,
  { message, content, options, earlier }: Attempt<EscrowOptions>,
  recipient: AttemptRecipient,
  { proof, header, meta }: { readonly proof: Proof; readonly header: Header; readonly meta: Meta },
): Promise<Answer> {
  const { settings, keyring, clock, spool } = parts
  const now = clock()
  const languages = options.languages ?? usualLanguages(settings['organisation.language'])
  const label = labelFor(earlier)
  const shown = {
    ...senderOf(header, message),
    messageId: message.messageId,
    references: (field(header, 'References') ?? '').slice(0, 4000),
    label,
    language: languages.join(','),
    createdAt: now,
  }
  const expiresAt = now + (options.expires ?? settings['escrow.expires'])
  const about = {
    message: message.id,
    recipient: recipient.id,
    address: recipient.address,
    proof,
    expiresAt,
    payloadSha256: content.payloadSha256,
    shown,
  }
  failpoint('letter.before-sealing')
  const letter = sealLetter(keyring, content.fileKey, about, meta)
  failpoint('letter.sealed')
  const notice = spool.draft(
    await composeNotice(
      parts,
      { ...shown, id: letter.id, reference: letter.reference, address: recipient.address, expiresAt, languages },
      {
        secret: letter.secret,
        code: proof !== 'link',
        subject: (options.subject ?? settings['notice.subject']) === 'original' ? meta.subject : undefined,
      },
    ),
  )
  failpoint('letter.notice-drafted')
  return {
    outcome: {
      kind: 'delivered',
      assurance: 'none', // the message travelled nowhere
      text: `sealed here as letter ${letter.reference}; ${recipient.address} is sent a notice and can read it until ${longDate('en', expiresAt)}`,
      evidence: { letter: letter.id, reference: letter.reference, notice: notice.id, proof, expiresAt, label },
    },
    state: 'letter-waiting',
    proof,
    writes: [...letter.statements, ...notice.statements],
    settled: async () => spool.wake(),
  }
}

function senderOf(header: Header, message: Attempt<unknown>['message']): { senderName: string; senderAddress: string } {
  const [from] = parseMailboxes(field(header, 'From') ?? '')
  const senderAddress = message.headerFrom || message.reversePath
  // A name counts only with the address that was judged.
  return { senderName: from?.address === senderAddress ? from.name.slice(0, 200) : '', senderAddress }
}

/** The organisation's language, with English below one that fewer people read. */
function usualLanguages(setting: string): readonly LanguageName[] {
  const own = languageNamed(setting) ?? 'en'
  return own === 'en' ? ['en'] : [own, 'en']
}
