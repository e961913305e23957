/** What changed between two policy revisions, as programmers read it. */
import { createTwoFilesPatch } from 'diff'
import type { Revision } from './store.ts'

/** Unified diff; '' when nothing differs. */
export function policyDiff(from: Revision, to: Revision): string {
  if (from.text === to.text) return ''
  return createTwoFilesPatch(name(from), name(to), from.text, to.text, undefined, undefined, { context: 3 }).replace(/^=+\n/, '').trimEnd()
}

const name = ({ revision, fingerprint, appliedAt }: Revision): string =>
  `revision ${revision} (${fingerprint}) ${new Date(appliedAt).toISOString().slice(0, 19).replace('T', ' ')}Z`
