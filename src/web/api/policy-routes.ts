/** The policy by API: read it, check a text, put it in force, look back. The functions are those of `letterlock policy`. */
import { z } from 'zod'
import { methods } from '../../methods/index.ts'
import { policyDiff } from '../../routing/difference.ts'
import { tally } from '../../routing/examine.ts'
import type { Mistakes } from '../../routing/problem.ts'
import { policySchema } from '../../routing/schema.ts'
import { failures, type PolicyStore, type Revision } from '../../routing/store.ts'
import { page, paging, usualLimit } from './pages.ts'
import { type Answer, problem } from './problem.ts'
import { type Call, ok, type Route, route } from './route.ts'
import { appliedShape, checkedShape, diffShape, policyShape, revisionsShape, testedShape } from './shapes.ts'

const path = '/api/v1/policy'
const text = z.string().describe('the policy, YAML')
const comment = z.string().max(1000).describe('why, for the history')
const number = z.string().regex(/^[1-9]\d{0,8}$/, 'expected the number of a revision')
const document = z.strictObject({ text, comment: comment.optional() })
const tried = { right: 'policy.try', body: z.strictObject({ text }), yaml: true } as const

export const policyRoutes: readonly Route[] = [
  route({
    ...{ method: 'GET', path, right: 'policy.read', summary: 'The policy in force' },
    answers: { status: 200, what: 'with its ETag', shape: policyShape, types: ['application/json', 'application/yaml', 'text/yaml'] },
    fields: [{ name: 'If-None-Match', required: false }],
    problems: ['not-acceptable', 'policy-altered'],
    run: async ({ parts, headers }) => show(await parts.policies.current(), headers),
  }),
  route({
    ...{ method: 'PUT', path, right: 'policy.change', summary: 'Put a policy in force for messages accepted from now on' },
    ...{ changes: true, yaml: true, body: document, query: z.strictObject({ comment: comment.optional() }) },
    answers: { status: 200, what: 'what came of it, with the ETag of the policy now in force', shape: appliedShape },
    fields: [{ name: 'If-Match', required: true }],
    problems: ['policy-invalid', 'policy-changed', 'if-match-needed', 'unavailable'],
    run: (call) => put(call, { text: call.body.text, comment: call.body.comment ?? call.query.comment ?? '' }),
  }),
  route({
    ...{ ...tried, method: 'POST', path: `${path}/check`, summary: 'Mistakes, warnings and tests of a text; nothing changes' },
    answers: { status: 200, what: 'whether it could be applied', shape: checkedShape },
    problems: ['unavailable'],
    run: async ({ parts, body }) => {
      const examined = await parts.examine(body.text)
      if (examined.kind === 'errors' && examined.busy) return invalid(examined)
      const problems = examined.kind === 'errors' ? examined.problems : failures(examined.proved)
      if (examined.kind === 'errors' || problems.length > 0) return ok({ valid: false, problems })
      return ok({ valid: true, rules: examined.rules, tests: examined.proved.length, warnings: examined.warnings })
    },
  }),
  route({
    ...{ ...tried, method: 'POST', path: `${path}/test`, summary: 'Run the tests of a text' },
    answers: { status: 200, what: 'each test and what came of it', shape: testedShape },
    problems: ['policy-invalid', 'unavailable'],
    run: async ({ parts, body }) => {
      const examined = await parts.examine(body.text)
      if (examined.kind === 'errors') return invalid(examined)
      return ok({ ...tally(examined.proved), tests: examined.proved })
    },
  }),
  route({
    ...{ method: 'GET', path: `${path}/schema`, right: 'policy.read', summary: 'The JSON Schema of the language' },
    answers: { status: 200, what: 'draft 2020-12', types: ['application/schema+json'] },
    run: async () => ok(policySchema(methods), { 'content-type': 'application/schema+json' }),
  }),
  route({
    ...{
      method: 'GET',
      path: `${path}/revisions`,
      right: 'policy.read',
      summary: 'Every revision, newest first: who applied it, when and why',
    },
    query: z.strictObject(paging),
    answers: { status: 200, what: 'one page', shape: revisionsShape },
    run: async ({ parts, query: { cursor, limit = usualLimit } }) => {
      const found = await parts.policies.history({ before: cursor?.at, limit: limit + 1 })
      const { rows, next } = page(found, limit, ({ revision, fingerprint }) => ({ at: revision, id: fingerprint }))
      return ok({ revisions: rows, next })
    },
  }),
  route({
    ...{ method: 'GET', path: `${path}/revisions/{revision}`, right: 'policy.read', summary: 'One revision' },
    answers: { status: 200, what: 'with its text', shape: policyShape },
    problems: ['not-found', 'policy-altered'],
    run: async ({ parts, path: { revision = '' } }) => {
      const found = await revisionOf(parts.policies, revision)
      return found === undefined ? unknownRevision(revision) : ok(shown(found))
    },
  }),
  route({
    ...{ method: 'GET', path: `${path}/diff`, right: 'policy.read', summary: 'What changed between two revisions' },
    query: z.strictObject({ from: number, to: number.optional().describe('the policy in force when not given') }),
    answers: { status: 200, what: 'a unified diff', shape: diffShape },
    problems: ['not-found', 'policy-altered'],
    run: async ({ parts: { policies }, query }) => {
      const [from, to] = [
        await revisionOf(policies, query.from),
        query.to === undefined ? await policies.current() : await revisionOf(policies, query.to),
      ]
      if (from === undefined) return unknownRevision(query.from)
      if (to === undefined) return unknownRevision(query.to ?? '')
      return ok({ from: from.revision, to: to.revision, diff: policyDiff(from, to) })
    },
  }),
  route({
    ...{ method: 'POST', path: `${path}/rollback`, right: 'policy.change', summary: 'Put an older revision in force again, as a new one' },
    ...{ changes: true, body: z.strictObject({ revision: z.int().positive().max(999_999_999), comment: comment.optional() }) },
    answers: { status: 200, what: 'as with PUT', shape: appliedShape },
    fields: [{ name: 'If-Match', required: true }],
    problems: ['not-found', 'policy-invalid', 'policy-changed', 'if-match-needed', 'unavailable'],
    run: async (call) => {
      const { revision, comment: why = `back to revision ${revision}` } = call.body
      const old = await call.parts.policies.at(revision)
      return old === undefined ? unknownRevision(String(revision)) : put(call, { text: old.text, comment: why })
    },
  }),
]

const shown = ({ revision, fingerprint, appliedAt, appliedBy, comment, text }: Revision) => ({
  ...{ revision, fingerprint, appliedAt, appliedBy, comment, text },
})

/** RFC 9110 §8.8.3: the two forms of one revision have different bytes, so different tags; either is good for If-Match. */
const tagOf = ({ revision, fingerprint }: Pick<Revision, 'revision' | 'fingerprint'>, yaml = false): string =>
  `"${revision}-${fingerprint}${yaml ? '-yaml' : ''}"`

function show(revision: Revision, { accept = '*/*', 'if-none-match': known = '' }: Call['headers']): Answer {
  const form = formFor(accept)
  if (form === undefined) return problem('not-acceptable', 'Accept: the policy comes as application/json or application/yaml')
  const headers = { etag: tagOf(revision, form !== 'application/json'), vary: 'accept', 'content-type': form }
  if (tagsIn(known).some((tag) => tag === '*' || tag === headers.etag)) return { status: 304, body: undefined, headers }
  return { status: 200, headers, body: form === 'application/json' ? shown(revision) : revision.text }
}

const forms = ['application/json', 'application/yaml', 'text/yaml'] as const

/** RFC 9110 §12.5.1, as much of it as three forms need: the form with the highest weight, JSON where they are equal. */
function formFor(accept: string): (typeof forms)[number] | undefined {
  const wanted = accept.split(',').map((part) => {
    const [range = '', ...parameters] = part.split(';').map((word) => word.trim().toLowerCase())
    const weight = parameters.find((word) => word.startsWith('q='))
    return { range, weight: weight === undefined ? 1 : Number(weight.slice(2)) || 0 }
  })
  const weightOf = (form: string) =>
    [form, `${form.split('/')[0]}/*`, '*/*']
      .map((range) => wanted.find((one) => one.range === range)?.weight)
      .find((weight) => weight !== undefined) ?? 0
  const best = Math.max(...forms.map(weightOf))
  return best > 0 ? forms.find((form) => weightOf(form) === best) : undefined
}

const tagsIn = (field: string): string[] => field.split(',').map((tag) => tag.trim().replace(/^W\//, ''))

/** Apply a text on top of the revision that If-Match names: two admins at once never overwrite each other unseen. */
async function put({ parts: { policies }, actor, headers }: Call, { text, comment }: { text: string; comment: string }): Promise<Answer> {
  const field = headers['if-match']
  if (field === undefined)
    return problem('if-match-needed', 'If-Match: send the ETag that GET /api/v1/policy gave, or * to replace whatever is in force')
  const onto = revisionIn(await policies.history({ limit: 1 }), field)
  if (onto === undefined) return changed()
  const by = { by: actor, comment }
  const applied = field.trim() === '*' ? await policies.apply(text, by) : await policies.applyOnto(onto, text, by)
  if (applied === undefined) return changed()
  return applied.kind === 'errors' ? invalid(applied) : ok(applied, { etag: tagOf(applied) })
}

/** The revision in force, when the field names it. RFC 9110 §13.1.1: a weak tag never matches. */
function revisionIn([latest]: Awaited<ReturnType<PolicyStore['history']>>, field: string): number | undefined {
  if (latest === undefined) return undefined
  const tags = field.split(',').map((tag) => tag.trim())
  return ['*', tagOf(latest), tagOf(latest, true)].some((tag) => tags.includes(tag)) ? latest.revision : undefined
}

const changed = (): Answer =>
  problem('policy-changed', 'If-Match names another policy than the one in force; read it again and see what changed')

/** What is wrong with a policy, place by place; or that nobody has looked. */
export const invalid = ({ problems, busy }: Mistakes): Answer =>
  busy
    ? problem('unavailable', 'too many policies are being checked at this moment; try again in a minute', {
        headers: { 'retry-after': '60' },
      })
    : problem('policy-invalid', problems.length === 1 ? '1 mistake' : `${problems.length} mistakes`, { problems })

const revisionOf = async (policies: PolicyStore, revision: string): Promise<Revision | undefined> =>
  number.safeParse(revision).success ? policies.at(Number(revision)) : undefined

const unknownRevision = (revision: string): Answer =>
  problem('not-found', `there is no policy revision ${JSON.stringify(revision.slice(0, 20))}; /api/v1/policy/revisions lists them`)
