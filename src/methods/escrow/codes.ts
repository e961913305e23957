/** Codes in the database: sends one within the limits, and checks what a reader typed so that no two tries slip through together. */
import { timingSafeEqual } from 'node:crypto'
import { entry } from '../../audit/audit.ts'
import { newId } from '../../mail/id.ts'
import { counted } from '../../ops/counters.ts'
import type { Settings } from '../../ops/settings.ts'
import type { Keyring } from '../../seal/keyring.ts'
import type { Spool } from '../../spool/spool.ts'
import { count } from '../../store/count.ts'
import { type Db, expecting, type Statement, sql, Unexpected } from '../../store/db.ts'
import {
  type CodeInput,
  codeLife,
  day,
  hour,
  maySend,
  newCode,
  readCode,
  showCode,
  triesPerClient,
  triesPerDay,
  triesPerSession,
  works,
} from './code.ts'
import { openWithPhrase } from './header.ts'
import type { Letter } from './letter.ts'
import { composeCode } from './notice.ts'
import { readPhrase } from './passphrase.ts'
import { newWords } from './words.ts'

export type CodeParts = {
  readonly db: Db
  readonly keyring: Keyring
  readonly spool: Spool
  readonly settings: Settings
  readonly clock: () => number
}

type CodeRow = {
  id: string
  letter: string
  code_mac: string
  words: string
  asked_at: number
  valid_until: number | null
  long: number
  spent: number
}

/** What a page says of the codes of a letter. `sentAt` is when the newest was asked for, null when there is none. */
export type CodeState = {
  readonly words: string
  readonly sentAt: number | null
  readonly validUntil: number | null
  readonly mayResendAt: number
  /** Twelve characters instead of eight digits. */
  readonly long: boolean
}

/** The newest code of a letter and when the next may be asked for. */
export async function codeState(parts: CodeParts, letter: Letter): Promise<CodeState> {
  const { recent, long } = await situation(parts, letter)
  const own = ofLetter(recent, letter)[0]
  const { at } = maySend(recent.map(sending), idOf(letter), parts.clock(), limitsOf(parts))
  return { words: own?.words ?? '', sentAt: own?.asked_at ?? null, validUntil: own?.valid_until ?? null, mayResendAt: at, long }
}

/** `sent`: a new one is on its way. `kept`: a code that was sent already works. `limited`: neither, yet. */
export type Asked = { readonly kind: 'sent' | 'kept' | 'limited' }

/**
 * Send a code and write `more` with it; within the limits per address. With `keep` a code that still works for a while is not followed by
 * another: a robot that opens the link again and again causes one mail. Beyond the hourly limit the newest code gets its ten minutes anew.
 */
export async function askForCode(
  parts: CodeParts,
  letter: Letter,
  { keep, more }: { readonly keep: boolean; readonly more: readonly Statement[] },
): Promise<Asked> {
  for (let round = 1; ; round++) {
    const seen = await situation(parts, letter)
    const { kind, statements } = await nextCode(parts, letter, seen, keep)
    try {
      // Fenced by the number of codes seen: of two requests at once one looks again.
      await parts.db.write(unchanged(letter, seen), ...more, ...statements, ...countCode(kind))
      if (kind === 'sent') parts.spool.wake()
      return { kind }
    } catch (error) {
      if (!(error instanceof Unexpected) || round === 5) throw error
    }
  }
}

const countCode = (result: Asked['kind'] | 'right' | 'wrong' | 'spent'): Statement[] =>
  count([counted('letterlock_codes_total', { result })])

async function nextCode(
  parts: CodeParts,
  letter: Letter,
  { recent, long }: Situation,
  keep: boolean,
): Promise<Asked & { readonly statements: readonly Statement[] }> {
  const now = parts.clock()
  const [newest] = ofLetter(recent, letter)
  const working = newest !== undefined && works(times(newest), now) && newest.long === Number(long)
  // A few minutes must be left, for the mail to be found and the code to be typed.
  if (keep && working && (newest.valid_until ?? now + codeLife) > now + 3 * 60_000) return { kind: 'kept', statements: [] }
  const firstLong = long && !ofLetter(recent, letter).some((code) => code.long === 1)
  if (firstLong || maySend(recent.map(sending), idOf(letter), now, limitsOf(parts)).may)
    return { kind: 'sent', statements: await sendCode(parts, letter, long) }
  if (newest === undefined || newest.spent === 1) return { kind: 'limited', statements: [] }
  if (working) return { kind: 'limited', statements: [] }
  return { kind: 'limited', statements: [sql`UPDATE code SET valid_until = ${now + codeLife} WHERE id = ${newest.id} AND spent = 0`] }
}

async function sendCode(parts: CodeParts, letter: Letter, long: boolean): Promise<Statement[]> {
  const { spool, keyring, clock } = parts
  const code = newCode(long)
  const words = newWords()
  const { binding } = letter
  const mail = spool.draft(await composeCode(parts, noticeLetter(letter), { code: showCode(code), words }))
  return [
    ...mail.statements,
    sql`INSERT INTO code (id, letter, address, code_mac, words, asked_at, valid_until, long, used_at, spent)
      VALUES (${mail.id}, ${binding.letter}, ${binding.address}, ${codeMac(keyring, letter, code).toString('hex')}, ${words}, ${clock()}, ${null},
        ${long ? 1 : 0}, ${null}, 0)`,
  ]
}

/** The letter as the mail about it tells. */
export const noticeLetter = ({ binding, languages }: Letter) => ({
  ...{ id: binding.letter, reference: binding.shown.reference, address: binding.address, expiresAt: binding.expiresAt },
  ...{ senderName: binding.shown.senderName, senderAddress: binding.shown.senderAddress },
  ...{ messageId: binding.shown.messageId, references: binding.shown.references, languages },
})

/** `fileKey`: where the words themselves opened the letter. */
export type Tried =
  | { readonly kind: 'right'; readonly statements: readonly Statement[]; readonly fileKey?: Buffer }
  | { readonly kind: 'empty' | 'no-tries' | 'spent' | 'busy' }
  | { readonly kind: 'wrong'; readonly triesLeft: number }

/** Try what was typed. The try is counted before it is looked at, and taken back when it was right: requests at once gain nothing. */
export async function tryCode(
  parts: CodeParts,
  letter: Letter,
  { session, input, client }: { readonly session: string; readonly input: string; readonly client: string },
): Promise<Tried> {
  const { db, clock } = parts
  const typed = readCode(input)
  if (typed.kind === 'none') return { kind: 'empty' }
  const id = newId(clock())
  const barred = await charge(parts, letter, { id, session, client, most: typed.kind === 'short' ? triesPerDay : noMost })
  if (barred !== undefined) return { kind: barred }
  const found = await matching(parts, letter, typed)
  if (found !== undefined) {
    return {
      kind: 'right',
      statements: [
        sql`DELETE FROM code_try WHERE id = ${id}`,
        sql`UPDATE code SET used_at = ${clock()} WHERE id = ${found.id} AND used_at IS NULL`,
        ...countCode('right'),
      ],
    }
  }
  const tries = await countTries(parts, letter, session, client)
  if (typed.kind === 'short' && tries.letter >= triesPerDay) {
    await spendShortCodes(parts, letter)
    return { kind: 'spent' }
  }
  await db.write(
    entry(clock(), { actor: 'portal', action: 'letter.code-wrong', object: idOf(letter), detail: { client } }),
    ...countCode('wrong'),
  )
  return { kind: 'wrong', triesLeft: Math.max(0, triesPerSession - tries.session) }
}

/** Try the words of a passphrase, within the same limits; `secret` is the link's. */
export async function tryPhrase(
  parts: Pick<CodeParts, 'db' | 'clock' | 'keyring'>,
  letter: Letter,
  {
    session,
    input,
    client,
    secret,
  }: { readonly session: string; readonly input: string; readonly client: string; readonly secret: Buffer },
): Promise<Tried> {
  const { db, clock, keyring } = parts
  const phrase = readPhrase(input)
  if (phrase === undefined) return { kind: 'empty' }
  const id = newId(clock())
  if ((await charge(parts, letter, { id, session, client, most: noMost })) !== undefined) return { kind: 'no-tries' }
  const takenBack = sql`DELETE FROM code_try WHERE id = ${id}`
  const fileKey = await openWithPhrase(keyring, letter, secret, phrase)
  if (fileKey === 'busy') {
    await db.write(takenBack)
    return { kind: 'busy' }
  }
  if (fileKey !== undefined) return { kind: 'right', fileKey, statements: [takenBack] }
  await db.write(entry(clock(), { actor: 'portal', action: 'letter.phrase-wrong', object: idOf(letter), detail: { client } }))
  return { kind: 'wrong', triesLeft: await triesLeft(parts, session) }
}

/** How many tries this browser session still has. */
export async function triesLeft({ db }: { readonly db: Db }, session: string): Promise<number> {
  const [row] = await db.read<{ tries: number }>(sql`SELECT COUNT(*) AS tries FROM code_try WHERE session = ${session}`)
  return Math.max(0, triesPerSession - Number(row?.tries ?? 0))
}

/** What nobody guesses is not barred by others' tries: nobody is locked out of a letter. */
const noMost = Number.MAX_SAFE_INTEGER

/** Counts a try before it is looked at; why there is none left. `most`: tries a day over all sessions of the letter. */
async function charge(
  parts: Pick<CodeParts, 'db' | 'clock'>,
  letter: Letter,
  { id, session, client, most }: { readonly id: string; readonly session: string; readonly client: string; readonly most: number },
): Promise<'no-tries' | 'spent' | undefined> {
  const now = parts.clock()
  const before = await countTries(parts, letter, session, client)
  if (before.session >= triesPerSession || before.client >= triesPerClient) return 'no-tries'
  if (before.letter >= most) return 'spent'
  try {
    await parts.db.write(
      expecting(
        1,
        sql`UPDATE portal_session SET seen_at = ${now} WHERE id = ${session} AND (SELECT COUNT(*) FROM code_try WHERE session = ${session}) < ${triesPerSession}`,
      ),
      expecting(
        1,
        sql`UPDATE letter SET id = id WHERE id = ${idOf(letter)} AND (SELECT COUNT(*) FROM code_try WHERE letter = ${idOf(letter)} AND at > ${now - day}) < ${most}`,
      ),
      sql`INSERT INTO code_try (id, letter, session, client, at) VALUES (${id}, ${idOf(letter)}, ${session}, ${client}, ${now})`,
    )
    return undefined
  } catch (error) {
    if (!(error instanceof Unexpected)) throw error
    return (await countTries(parts, letter, session, client)).session >= triesPerSession ? 'no-tries' : 'spent'
  }
}

async function matching(parts: CodeParts, letter: Letter, typed: Exclude<CodeInput, { kind: 'none' }>): Promise<CodeRow | undefined> {
  const now = parts.clock()
  const rows =
    await parts.db.read<CodeRow>(sql`SELECT * FROM code WHERE letter = ${idOf(letter)} AND address = ${letter.binding.address} AND spent = 0
    ORDER BY asked_at DESC, id DESC LIMIT 3`)
  const wanted = codeMac(parts.keyring, letter, typed.code)
  return rows.find((row) => {
    const mac = Buffer.from(row.code_mac, 'hex')
    return (
      row.long === Number(typed.kind === 'long') && works(times(row), now) && mac.length === wanted.length && timingSafeEqual(mac, wanted)
    )
  })
}

/** After twenty wrong tries in a day guessing has ended: only codes too long to guess are sent from now on, and one at once. */
async function spendShortCodes(parts: CodeParts, letter: Letter): Promise<void> {
  const now = parts.clock()
  await askForCode(parts, letter, {
    keep: true,
    more: [
      sql`UPDATE code SET spent = 1 WHERE letter = ${idOf(letter)} AND long = 0`,
      entry(now, { actor: 'portal', action: 'letter.codes-spent', object: idOf(letter), detail: { wrongTries: triesPerDay } }),
      ...countCode('wrong'),
      ...countCode('spent'),
    ],
  })
}

type Situation = { readonly recent: readonly CodeRow[]; readonly long: boolean; readonly since: number }

/** Codes sent to the address within the last hour, newest first, and whether guessing made them long. */
async function situation({ db, clock }: CodeParts, letter: Letter): Promise<Situation> {
  const now = clock()
  const since = now - hour
  const recent = await db.read<CodeRow>(
    sql`SELECT * FROM code WHERE address = ${letter.binding.address} AND asked_at > ${since} ORDER BY asked_at DESC, id DESC`,
  )
  const [row] = await db.read<{ tries: number }>(
    sql`SELECT COUNT(*) AS tries FROM code_try WHERE letter = ${idOf(letter)} AND at > ${now - day}`,
  )
  return { recent, long: Number(row?.tries ?? 0) >= triesPerDay, since }
}

const unchanged = (letter: Letter, { recent, since }: Situation): Statement =>
  expecting(
    1,
    sql`UPDATE letter SET id = id WHERE id = ${idOf(letter)}
      AND (SELECT COUNT(*) FROM code WHERE address = ${letter.binding.address} AND asked_at > ${since}) = ${recent.length}`,
  )

async function countTries(
  { db, clock }: Pick<CodeParts, 'db' | 'clock'>,
  letter: Letter,
  session: string,
  client: string,
): Promise<{ session: number; letter: number; client: number }> {
  const now = clock()
  const [row] = await db.read<{ session: number; letter: number; client: number }>(sql`SELECT
    (SELECT COUNT(*) FROM code_try WHERE session = ${session}) AS session,
    (SELECT COUNT(*) FROM code_try WHERE letter = ${idOf(letter)} AND at > ${now - day}) AS letter,
    (SELECT COUNT(*) FROM code_try WHERE client = ${client} AND at > ${now - hour}) AS client`)
  return { session: Number(row?.session ?? 0), letter: Number(row?.letter ?? 0), client: Number(row?.client ?? 0) }
}

/** The code is bound to letter and mailbox: a row copied to another letter does not open it. */
const codeMac = (keyring: Keyring, { binding }: Letter, code: string): Buffer =>
  keyring.mac('letter code', binding.letter, binding.address, code)

const idOf = ({ binding }: Letter): string => binding.letter
const ofLetter = (recent: readonly CodeRow[], letter: Letter) => recent.filter((code) => code.letter === idOf(letter))
const sending = ({ asked_at, letter }: CodeRow) => ({ askedAt: asked_at, letter })
const times = ({ asked_at, valid_until, spent }: CodeRow) => ({ askedAt: asked_at, validUntil: valid_until, spent: spent === 1 })
const limitsOf = ({ settings }: CodeParts) => ({ perMinute: settings['limits.codePerMinute'], perHour: settings['limits.codePerHour'] })
