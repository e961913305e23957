/** The queue, other people's domains, and the audit trail, by API. */
import { z } from 'zod'
import { listAudit } from '../../audit/list.ts'
import { listQueue, shownQueue } from '../../delivery/trace.ts'
import { canonicalDomain } from '../../mail/address.ts'
import { checkDomain } from '../../monitor/check-domain.ts'
import { standings, standingsPage } from '../../monitor/fall-backs.ts'
import { historyOf, lastCheck } from '../../monitor/history.ts'
import { operate, type QueueChoice } from '../../spool/queue.ts'
import { page, paging, usualLimit } from './pages.ts'
import { type Answer, problem } from './problem.ts'
import { ok, type Route, route } from './route.ts'
import { auditShape, checkShape, domainShape, domainsShape, operatedShape, queueShape } from './shapes.ts'

const text = z.string().min(1).max(320)

const operation = (action: 'retry' | 'hold' | 'release' | 'bounce', summary: string): Route =>
  route({
    ...{ method: 'POST', path: `/api/v1/queue/${action}`, right: 'queue.change', summary, changes: true },
    body: z
      .strictObject({
        id: text.optional().describe("a recipient's id as GET /api/v1/queue shows it, or a message's"),
        domain: text.optional().describe('everything for this destination'),
        reason: text.optional().describe('everything that waits or is held with this reason code'),
        comment: z.string().max(1000).optional().describe('why, for the audit'),
        dryRun: z.boolean().optional(),
      })
      .refine(
        ({ id, domain, reason }) => [id, domain, reason].filter((one) => one !== undefined).length === 1,
        'say one of id, domain and reason',
      ),
    answers: { status: 200, what: 'recipient ids changed, and those left as they are', shape: operatedShape },
    run: async ({ parts: { db, clock }, actor, body: { id = '', domain, reason, comment, dryRun = false } }) => {
      const choice: QueueChoice =
        domain !== undefined
          ? { kind: 'domain', domain: domain.toLowerCase() }
          : reason !== undefined
            ? { kind: 'reason', reason }
            : { kind: 'id', id }
      const done = await operate(db, action, choice, { actor, now: clock(), dryRun, comment })
      if (choice.kind === 'id' && done.changed.length === 0 && done.left.length === 0)
        return problem('not-found', `nothing of the id ${JSON.stringify(id)} waits or is held; GET /api/v1/queue lists what does`)
      return ok(done)
    },
  })

export const queueRoutes: readonly Route[] = [
  route({
    ...{
      method: 'GET',
      path: '/api/v1/queue',
      right: 'queue.read',
      looks: true,
      summary: 'Everything that waits or is held, next due first',
    },
    query: z.strictObject({
      domain: text.optional().describe('only this destination'),
      state: z.enum(['waiting', 'held']).optional().describe('both when not given'),
      ...paging,
    }),
    answers: { status: 200, what: 'one page', shape: queueShape },
    run: async ({ parts, query: { domain, state, cursor, limit = usualLimit } }) => {
      const found = await listQueue(parts.db, { domain: domain?.toLowerCase(), state, after: cursor, limit: limit + 1 })
      const { rows, next } = page(found, limit, ({ nextAttemptAt, id }) => ({ at: nextAttemptAt, id }))
      return ok({ queue: shownQueue(rows), next })
    },
  }),
  operation('retry', 'Try now instead of at the next time'),
  operation('hold', 'Keep from being tried until released'),
  operation('release', 'Try held mail again'),
  operation('bounce', 'Return to the sender with a report'),
  route({
    ...{
      method: 'GET',
      path: '/api/v1/domains',
      right: 'domains.read',
      summary: 'Every domain that is probed, or that mail fell back for',
    },
    query: z.strictObject(paging),
    answers: { status: 200, what: 'one page, by name', shape: domainsShape },
    run: async ({ parts, query: { cursor, limit = usualLimit } }) => {
      const found = await standingsPage(parts.db, parts.clock(), { after: cursor?.id ?? '', limit: limit + 1 })
      const { rows, next } = page(found, limit, ({ domain }) => ({ at: 0, id: domain }))
      return ok({ domains: rows, next })
    },
  }),
  route({
    ...{
      method: 'GET',
      path: '/api/v1/domains/{domain}',
      right: 'domains.read',
      summary: 'One of them: its history, and what the last probe saw',
    },
    answers: { status: 200, what: 'the domain', shape: domainShape },
    problems: ['not-found'],
    run: async ({ parts: { db, clock }, path: { domain: given = '' } }) => {
      const domain = domainOf(given)
      if (domain === undefined) return noDomain(given)
      const [found] = await standings(db, clock(), domain)
      if (found === undefined) return problem('not-found', `${domain} is not probed: nobody wrote to it lately; POST …/check looks now`)
      return ok({ ...found, history: await historyOf(db, domain), facts: (await lastCheck(db, domain)) ?? null })
    },
  }),
  route({
    ...{
      method: 'POST',
      path: '/api/v1/domains/{domain}/check',
      right: 'domains.check',
      summary: 'Look now how safe mail to it would be; up to a minute',
    },
    answers: { status: 200, what: 'as `letterlock domain check --json`', shape: checkShape },
    problems: ['not-found', 'unavailable'],
    run: async ({ parts, path: { domain: given = '' } }) => {
      const domain = domainOf(given)
      if (domain === undefined) return noDomain(given)
      const { policy } = await parts.policies.current()
      const checked = await checkDomain(domain, { ...parts, policy })
      return checked.kind === 'checked' ? ok(checked.check) : problem('unavailable', checked.text)
    },
  }),
  route({
    ...{ method: 'GET', path: '/api/v1/audit', right: 'audit.read', looks: true, summary: 'The audit trail, newest first' },
    query: z.strictObject({ actor: text.optional(), action: text.optional(), object: text.optional(), ...paging }),
    answers: { status: 200, what: 'one page', shape: auditShape },
    run: async ({ parts, query: { cursor, limit = usualLimit, actor = '', action = '', object = '' } }) => {
      const found = await listAudit(parts.db, { actor, action, object, ...(cursor && { after: cursor }), limit: limit + 1 })
      const { rows, next } = page(found, limit, (row) => row)
      return ok({ entries: rows, next })
    },
  }),
]

/** A canonical name of more than one label, or an address literal. */
function domainOf(given: string): string | undefined {
  const domain = canonicalDomain(given)
  return domain !== undefined && (domain.includes('.') || domain.startsWith('[')) ? domain : undefined
}

const noDomain = (given: string): Answer => problem('not-found', `${JSON.stringify(given.slice(0, 100))} is no domain`)
