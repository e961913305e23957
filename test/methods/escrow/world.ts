/** A small world for letters: a real database, keys, blobs and spool in a folder of its own; the test is delivery and the reader's mailbox. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pino } from 'pino'
import { splitHeader } from '../../../src/mail/header.ts'
import { newMessageId } from '../../../src/mail/id.ts'
import type { Assurance } from '../../../src/mail/outcome.ts'
import { type EscrowOptions, escrow } from '../../../src/methods/escrow/escrow.ts'
import { codeSettled, noticeSettled } from '../../../src/methods/escrow/settled.ts'
import { createVault, type Vault } from '../../../src/methods/escrow/vault.ts'
import type { Answer, Attempt, Parts } from '../../../src/methods/method.ts'
import { defaultSettings, type Settings } from '../../../src/ops/settings.ts'
import { openKeyring } from '../../../src/seal/keyring.ts'
import { claimGroups, type Group, openClaimed } from '../../../src/spool/claim.ts'
import { renewEpochs } from '../../../src/spool/epochs.ts'
import type { SpoolParts } from '../../../src/spool/parts.ts'
import { type Settlement, settleGroup } from '../../../src/spool/settle.ts'
import { createSpool } from '../../../src/spool/spool.ts'
import { openBlobs } from '../../../src/store/blobs-fs.ts'
import type { Statement } from '../../../src/store/db.ts'
import { migrate } from '../../../src/store/migrate.ts'
import { openSqlite } from '../../../src/store/sqlite.ts'
import type { Transport } from '../../../src/transport/transport.ts'

export const minute = 60_000
export const hour = 60 * minute
export const day = 24 * hour

/** A mail that left: as the next hop got it. */
export type Mail = { readonly kind: string; readonly about: string; readonly to: string; readonly raw: Buffer }

export type World = {
  readonly folder: string
  readonly parts: Parts
  readonly spoolParts: SpoolParts
  readonly vault: Vault
  readonly now: () => number
  /** Let time pass, milliseconds. */
  readonly pass: (milliseconds: number) => void
  /** Take a message in for these recipients; its id. */
  readonly accept: (content: string | Buffer, ...recipients: string[]) => Promise<string>
  /** Attempt escrow for all that waits of kind mail, and settle it as delivery does. The answers by address. */
  readonly seal: (options?: EscrowOptions, earlier?: Attempt<EscrowOptions>['earlier']) => Promise<Map<string, Answer>>
  /** Deliver our own mail that waits, or let it fail; what left. */
  readonly carry: (how?: { readonly fails?: boolean; readonly assurance?: Assurance }) => Promise<Mail[]>
  /** What the hourly round does: epoch keys that wrap nothing are destroyed. */
  readonly hourPasses: () => Promise<void>
  /** Every file of the data folder that holds the text, in any of the usual encodings. */
  readonly grep: (text: string) => Promise<string[]>
  readonly close: () => Promise<void>
}

export async function openWorld(overrides: Partial<Settings> = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'letterlock-escrow-'))
  let at = Date.UTC(2026, 10, 21, 14, 0)
  const clock = () => at
  const settings = defaultSettings({
    data: folder,
    'organisation.name': 'Rheinland Klinik',
    'organisation.domains': ['rheinland-klinik.example'],
    'notice.from': 'post@rheinland-klinik.example',
    'portal.url': 'https://post.rheinland-klinik.example',
    ...overrides,
  })
  const db = openSqlite(join(folder, 'letterlock.db'))
  await migrate(db, join(import.meta.dirname, '../../../migrations'))
  const keyring = await openKeyring(join(folder, 'keys'), clock)
  const spoolParts: SpoolParts = { db, blobs: openBlobs(join(folder, 'blobs')), keyring, clock, settings }
  const spool = createSpool(spoolParts)
  const transport: Transport = { ship: async () => new Map(), refreshSts: async () => 0, close: async () => {} }
  const parts: Parts = { settings, transport, spool, db, keyring, clock, log: pino({ level: 'silent' }) }
  return {
    folder,
    parts,
    spoolParts,
    vault: createVault(parts),
    now: clock,
    pass: (milliseconds) => {
      at += milliseconds
    },
    accept: (content, ...recipients) => accept(parts, Buffer.from(content), recipients),
    seal: (options = {}, earlier = []) => seal(parts, spoolParts, options, earlier),
    carry: (how = {}) => carry(spoolParts, how),
    hourPasses: async () => {
      await renewEpochs(spoolParts, parts.log)
    },
    grep: (text) => grep(folder, text),
    close: async () => {
      await db.close()
      keyring.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function accept({ spool }: Parts, content: Buffer, recipients: readonly string[]): Promise<string> {
  const intake = spool.intake()
  for (let from = 0; from < content.length; from += 65_536) await intake.write(content.subarray(from, from + 65_536))
  await intake.commit({
    envelope: {
      reversePath: 'a.weber@rheinland-klinik.example',
      recipients: recipients.map((address) => ({ address, notify: [], bcc: false })),
      body: '8bit',
      smtpUtf8: false,
    },
    messageId: /^Message-ID: (.*)\r$/m.exec(content.subarray(0, 4000).toString())?.[1] ?? newMessageId('rheinland-klinik.example'),
    headerFrom: 'a.weber@rheinland-klinik.example',
    client: { address: '127.0.0.1', name: 'test', authenticatedAs: null, tls: null },
  })
  return intake.id
}

async function seal(parts: Parts, spoolParts: SpoolParts, options: EscrowOptions, earlier: Attempt<EscrowOptions>['earlier']) {
  const method = escrow.build(parts)
  const all = new Map<string, Answer>()
  for (const group of (await claimGroups(spoolParts, 100)).filter(({ message }) => message.kind === 'mail')) {
    const opened = await openClaimed(spoolParts, group.message.id)
    if (opened.kind === 'damaged') throw new Error(opened.text)
    const { fileKey, payloadSha256, open } = opened
    const header = async () => splitHeader(await buffer(open())).header
    const attempt = { ...group, options, earlier, content: { header, open, fileKey, payloadSha256 }, signal: new AbortController().signal }
    const answers = await method.attempt(attempt)
    const writes = [...answers.values()].flatMap((answer) => answer.writes ?? [])
    const settlements = group.recipients.map((recipient) => settlement(group, recipient.id, answers.get(recipient.id)?.state ?? 'bounced'))
    await settleGroup(spoolParts, group, settlements, writes)
    for (const { id, address } of group.recipients) {
      const answer = answers.get(id)
      if (answer !== undefined) all.set(address, answer)
      await answer?.settled?.()
    }
  }
  return all
}

async function carry(
  spoolParts: SpoolParts,
  { fails = false, assurance = 'verified' }: { fails?: boolean; assurance?: Assurance },
): Promise<Mail[]> {
  const left: Mail[] = []
  for (const group of (await claimGroups(spoolParts, 100)).filter(({ message }) => message.kind !== 'mail')) {
    const { message, recipients } = group
    const opened = await openClaimed(spoolParts, message.id)
    if (opened.kind === 'damaged') throw new Error(opened.text)
    const raw = await buffer(opened.open())
    const about = message.about ?? ''
    const end = {
      letter: about,
      delivered: !fails,
      assurance: fails ? ('none' as const) : assurance,
      text: 'said the test',
      at: spoolParts.clock(),
    }
    const more: Statement[] = message.kind === 'notice' ? noticeSettled(end) : message.kind === 'code' ? codeSettled(message.id, end) : []
    await settleGroup(
      spoolParts,
      group,
      recipients.map(({ id }) => settlement(group, id, fails ? 'bounced' : 'delivered')),
      more,
    )
    await spoolParts.db.scrub()
    if (!fails) left.push({ kind: message.kind, about, to: recipients[0]?.address ?? '', raw })
  }
  return left
}

function settlement(group: Group, id: string, state: Settlement['state']): Settlement {
  const recipient = group.recipients.find((one) => one.id === id)
  if (recipient === undefined) throw new Error('no such recipient')
  return {
    recipient,
    state,
    frozen: { plan: { revision: 0, fingerprint: '', rule: { name: 'test', line: 0 }, steps: [], trace: [] }, earlier: [] },
    ...{ step: 0, stepSince: undefined, stepAttempts: 1, nextAttemptAt: 0, method: 'escrow', reason: null, assurance: null, proof: null },
    ...{ lastReply: '', delayNoticed: false, record: '{}', audit: {} },
  }
}

async function grep(folder: string, text: string): Promise<string[]> {
  const needles = [
    Buffer.from(text),
    Buffer.from(Buffer.from(text).toString('hex')),
    Buffer.from(Buffer.from(text).toString('base64').slice(0, -4)),
    Buffer.from(text, 'utf16le'),
  ]
  const found: string[] = []
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue
    const path = join(file.parentPath, file.name)
    const bytes = await readFile(path)
    if (needles.some((needle) => bytes.includes(needle))) found.push(path)
  }
  return found
}

/** The secret in a notice's link. */
export function secretIn(mail: Mail | undefined): string {
  const secret = /\/m\/([0-9a-z]{32})/.exec(mail?.raw.toString() ?? '')?.[1]
  if (secret === undefined) throw new Error('the mail holds no link')
  return secret
}

/** The code in a code mail's subject. */
export function codeIn(mail: Mail | undefined): string {
  const code = /^Subject: ((?:[0-9A-Z]{4} ){1,2}[0-9A-Z]{4}) /m.exec(mail?.raw.toString() ?? '')?.[1]
  if (code === undefined) throw new Error('the mail holds no code')
  return code
}

export const letterFor = (...recipients: string[]): string =>
  [
    'From: "Dr Anna Weber" <a.weber@rheinland-klinik.example>',
    `To: ${recipients.join(', ')}`,
    'Subject: =?utf-8?Q?Ihr_Befund_Canary-Betreff?=',
    'Date: Sat, 21 Nov 2026 14:00:00 +0000',
    'Message-ID: <befund-1@rheinland-klinik.example>',
    'References: <frage-0@lab.example>',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary="b1"',
    '',
    '--b1',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Lieber Herr Maier, der Befund: canary-content-7f3a.',
    '--b1',
    'Content-Type: application/pdf; name="befund.pdf"',
    'Content-Disposition: attachment; filename="befund.pdf"',
    'Content-Transfer-Encoding: base64',
    '',
    Buffer.from('canary-attachment-91bc '.repeat(20)).toString('base64'),
    '--b1--',
    '',
  ].join('\r\n')

/** One letter for one reader: sealed, its notice carried. */
export async function sealedLetter(
  world: World,
  address = 'max.maier@lab.example',
  options: EscrowOptions = {},
): Promise<{ message: string; secret: string; notice: Mail; letter: string }> {
  const message = await world.accept(letterFor(address), address)
  await world.seal(options)
  const [notice] = await world.carry()
  if (notice === undefined) throw new Error('no notice left')
  return { message, secret: secretIn(notice), notice, letter: notice.about }
}

/** Press Continue; the cookie. */
export async function pressContinue(world: World, secret: string): Promise<string> {
  const begun = await world.vault.begin(secret, '192.0.2.1')
  if (begun.kind !== 'session') throw new Error(`no session but ${begun.kind}`)
  return begun.cookie
}
