/** Policy revisions in the database: the one in force, older ones, and how a new one comes into force. */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { entry } from '../audit/audit.ts'
import type { Clock } from '../ops/clock.ts'
import { whyUnread } from '../ops/unread.ts'
import type { Signer } from '../seal/signer.ts'
import { type Db, expecting, type Statement, sql, Unexpected } from '../store/db.ts'
import { defaultPolicyText } from './default-policy.ts'
import { type Examine, examine } from './examine.ts'
import type { ReadText } from './examiner.ts'
import { parsePolicy } from './parse.ts'
import type { Policy } from './policy.ts'
import type { Mistakes, Problem } from './problem.ts'
import type { Proved } from './prove.ts'
import { isSigned, PolicyAltered, type SignedRevision, signRevision } from './signature.ts'
import type { MethodWords } from './steps.ts'
import { largestPolicy } from './tree.ts'
import type { WorldSettings } from './worlds.ts'

/** A policy that was applied, ready to plan with. `appliedAt` in milliseconds since 1970. */
export type Revision = {
  readonly revision: number
  readonly fingerprint: string
  readonly policy: Policy
  readonly text: string
  readonly appliedAt: number
  readonly appliedBy: string
  readonly comment: string
}

export type Applied =
  | {
      readonly kind: 'applied'
      readonly revision: number
      readonly fingerprint: string
      /** How many tests of the policy passed. */
      readonly tests: number
      readonly warnings: readonly Problem[]
    }
  /** The text is the one in force, byte for byte. */
  | { readonly kind: 'unchanged'; readonly revision: number; readonly fingerprint: string }
  /** Nothing was written: the policy in force stays. */
  | Mistakes

/** One line of the history. `appliedAt` in milliseconds since 1970. */
export type Applying = Pick<Revision, 'revision' | 'fingerprint' | 'appliedAt' | 'appliedBy' | 'comment'> & { readonly ours: boolean }

export type PolicyStore = {
  /** The highest revision; asks the database each time whether another process applied a newer one. Throws when there is none: call ensureDefault first; PolicyAltered when it is not ours. */
  readonly current: () => Promise<Revision>
  /** Any revision ever applied; undefined when there is none of that number. Throws PolicyAltered when it is not ours. */
  readonly at: (revision: number) => Promise<Revision | undefined>
  /** Newest first, all or `limit` of those before a revision; what was altered in the database is listed too, and says so. */
  readonly history: (page?: { readonly before?: number | undefined; readonly limit?: number }) => Promise<readonly Applying[]>
  /** Check and put in force, for messages accepted from now on. `by`: who, as in the audit (`cli:root`). */
  readonly apply: (text: string, by: { readonly by: string; readonly comment: string }) => Promise<Applied>
  /** The same, but only on top of `revision`: undefined, and nothing written, when another one is in force by now. */
  readonly applyOnto: (
    revision: number,
    text: string,
    by: { readonly by: string; readonly comment: string },
  ) => Promise<Applied | undefined>
  /** Apply the default policy when there is no policy at all; the revision in force. */
  readonly ensureDefault: () => Promise<Revision>
  /** Whether any policy was ever applied. */
  readonly any: () => Promise<boolean>
  /** `policy.file`: apply it when it has changed since it was last applied. A file with errors is tried again at the next start. */
  readonly applyFile: (path: string) => Promise<Applied>
}

type RevisionRow = SignedRevision & { readonly signature: Buffer | null }

/**
 * `methods`: the list of methods/index.ts. `signer`: vouches for what is applied, and refuses what is not ours. `settings`: those tests ask for.
 * `examine`, `read`: where texts are examined and read; here when nothing is said.
 */
export type PolicyParts = {
  readonly db: Db
  readonly clock: Clock
  readonly methods: MethodWords
  readonly signer: Signer
  readonly settings: WorldSettings
  readonly examine?: Examine
  readonly read?: ReadText
}

const keptParsed = 32
const lastFile = 'policy.file'

/** The store over one database. */
export function policyStore(parts: PolicyParts): PolicyStore {
  const { db, signer } = parts
  const parsed = new Map<number, Revision>()
  const underway = new Map<number, Promise<Revision | undefined>>()

  /** Whoever asks meanwhile waits for the same answer: a large policy is read once. */
  const at = async (revision: number): Promise<Revision | undefined> => {
    const known = parsed.get(revision) ?? underway.get(revision)
    if (known !== undefined) return known
    const asked = find(revision).finally(() => underway.delete(revision))
    underway.set(revision, asked)
    return asked
  }
  const find = async (revision: number): Promise<Revision | undefined> => {
    const [row] = await db.read<RevisionRow>(sql`SELECT * FROM policy_revision WHERE revision = ${revision}`)
    if (row === undefined) return undefined
    if (!isSigned(signer, row, row.signature)) throw new PolicyAltered(revision)
    const found = await readRevision(row, parts)
    const [oldest] = parsed.keys()
    if (parsed.size >= keptParsed && oldest !== undefined) parsed.delete(oldest)
    parsed.set(revision, found)
    return found
  }
  const current = async (): Promise<Revision> => {
    const found = await at(await highest(db))
    if (found === undefined) throw new Error('no policy was ever applied: ensureDefault comes first')
    return found
  }
  return {
    at,
    current,
    history: async ({ before = Number.MAX_SAFE_INTEGER, limit = 1_000_000 } = {}) => {
      const rows = await db.read<RevisionRow>(
        sql`SELECT * FROM policy_revision WHERE revision < ${before} ORDER BY revision DESC LIMIT ${limit}`,
      )
      return rows.map((row) => ({ ...pick(row), ours: isSigned(signer, row, row.signature) }))
    },
    apply: (text, by) => apply(parts, { text, ...by }),
    applyOnto: async (revision, text, by) => {
      try {
        return await apply(parts, { text, ...by, onto: revision })
      } catch (error) {
        if (error instanceof Outdated) return undefined
        throw error
      }
    },
    ensureDefault: async () => {
      const comment = 'the default policy of a fresh installation'
      if ((await highest(db)) === 0) await apply(parts, { text: defaultPolicyText, by: 'system', comment, onlyAsFirst: true })
      return current()
    },
    any: async () => (await highest(db)) > 0,
    applyFile: (path) => applyFile(parts, path),
  }
}

/** The failing tests of a policy as mistakes with their places. */
export const failures = (proved: readonly Proved[]): Problem[] =>
  proved
    .filter(({ passed }) => !passed)
    .map(({ line, column, name, text }) => ({ line, column, text: `the test fails: ${name}`, hint: text }))

/** 0 when no policy was applied yet. */
async function highest(db: Db): Promise<number> {
  const [row] = await db.read<{ revision: number | null }>(sql`SELECT MAX(revision) AS revision FROM policy_revision`)
  return row?.revision ?? 0
}

async function inForce(db: Db): Promise<RevisionRow | undefined> {
  const [row] = await db.read<RevisionRow>(sql`SELECT * FROM policy_revision ORDER BY revision DESC LIMIT 1`)
  return row
}

/** A stored policy was checked when it was applied: if it cannot be read now, the program is older than the policy. */
async function readRevision(row: RevisionRow, { methods, read: away }: PolicyParts): Promise<Revision> {
  const { revision, text } = row
  const there = await away?.(text)
  // A thread that is busy or lost must not keep mail from its policy.
  const read = there?.kind === 'policy' ? there : parsePolicy(text, methods)
  if (read.kind === 'policy') return { ...pick(row), text, policy: { ...read.policy, revision } }
  const [first] = read.problems
  throw new Error(
    `policy revision ${revision} cannot be read by this version (line ${first?.line}: ${first?.text}): apply a corrected policy`,
  )
}

const pick = ({ revision, fingerprint, applied_at: appliedAt, applied_by: appliedBy, comment }: RevisionRow): Omit<Applying, 'ours'> => ({
  revision,
  fingerprint,
  appliedAt,
  appliedBy,
  comment,
})

type Change = {
  readonly text: string
  readonly by: string
  readonly comment: string
  readonly also?: readonly Statement[]
  readonly onlyAsFirst?: boolean
  readonly onto?: number
}

/** Never leaves this file: another revision is in force than the one that the change was made for. */
class Outdated extends Error {}

async function apply(
  { db, clock, methods, signer, settings, examine: away }: PolicyParts,
  { text, by, comment, also = [], onlyAsFirst = false, onto }: Change,
): Promise<Applied> {
  const examined = away === undefined ? examine(text, { methods, settings, now: clock() }) : await away(text)
  if (examined.kind === 'errors') return examined
  const { fingerprint, rules, proved, warnings } = examined
  if (proved.some(({ passed }) => !passed)) return { kind: 'errors', problems: failures(proved) }
  for (;;) {
    const before = await inForce(db)
    if (onto !== undefined && onto !== before?.revision) throw new Outdated()
    // One that is not ours never counts as the same: applying anew is how it is got rid of.
    if (before !== undefined && (onlyAsFirst || (before.text === text && isSigned(signer, before, before.signature)))) {
      if (also.length > 0) await db.write(...also)
      return { kind: 'unchanged', revision: before.revision, fingerprint: before.fingerprint }
    }
    const now = clock()
    const revision = (before?.revision ?? 0) + 1
    const signature = signRevision(signer, { revision, fingerprint, text, applied_at: now, applied_by: by, comment })
    const insert = sql`INSERT INTO policy_revision (revision, fingerprint, text, applied_at, applied_by, comment, signature)
      VALUES (${revision}, ${fingerprint}, ${text}, ${now}, ${by}, ${comment}, ${signature}) ON CONFLICT (revision) DO NOTHING`
    const told = entry(now, {
      actor: by,
      action: 'policy.applied',
      object: String(revision),
      detail: { fingerprint, comment, rules, tests: proved.length },
    })
    try {
      await db.write(expecting(1, insert), told, ...also)
      return { kind: 'applied', revision, fingerprint, tests: proved.length, warnings }
    } catch (error) {
      // Another process applied a policy between our look and our write: look again.
      if (!(error instanceof Unexpected)) throw error
    }
  }
}

async function applyFile(parts: PolicyParts, path: string): Promise<Applied> {
  const file = await readPolicyFile(path)
  if (file.kind === 'errors') return file
  const seen = `${createHash('sha256').update(file.text).digest('hex')} ${path}`
  const [fact] = await parts.db.read<{ value: string }>(sql`SELECT value FROM fact WHERE name = ${lastFile}`)
  const before = await inForce(parts.db)
  if (before !== undefined && fact?.value === seen) return { kind: 'unchanged', revision: before.revision, fingerprint: before.fingerprint }
  const remember = sql`INSERT INTO fact (name, value) VALUES (${lastFile}, ${seen}) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
  return apply(parts, { text: file.text, by: 'policy.file', comment: `from ${path}`, also: [remember] })
}

/** The text of a policy file, without a byte-order mark; a file that cannot be read, is too large or no UTF-8 is a problem without a place. */
export async function readPolicyFile(
  path: string,
): Promise<{ readonly kind: 'text'; readonly text: string } | { readonly kind: 'errors'; readonly problems: readonly Problem[] }> {
  const refused = (text: string) => ({ kind: 'errors', problems: [{ line: 0, column: 0, text }] }) as const
  try {
    const { size } = await stat(path)
    if (size > largestPolicy)
      return refused(
        `it has ${size} bytes; a policy has at most ${largestPolicy} (1 MiB): a group can name *.domain for all its subdomains`,
      )
    return { kind: 'text', text: new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path)) }
  } catch (error) {
    if (error instanceof TypeError) return refused('it is not UTF-8 text')
    return refused(`it cannot be read: ${whyUnread(error)}`)
  }
}
