/** What became of mail, by API: messages, explanations, letters. Each look at these is in the audit. */
import { z } from 'zod'
import { findMessages, listLetters, listMessages } from '../../delivery/trace.ts'
import { methodNames } from '../../methods/index.ts'
import { readExplanations } from '../../routing/explanations.ts'
import { page, paging, usualLimit } from './pages.ts'
import { type Answer, problem } from './problem.ts'
import { ok, type Route, route } from './route.ts'
import { explanationShape, lettersShape, messageShape, messagesShape } from './shapes.ts'

const path = '/api/v1/messages'
const address = z.string().min(1).max(320)
const looks = { right: 'trail.read', looks: true } as const

export const trailRoutes: readonly Route[] = [
  route({
    ...{ ...looks, method: 'GET', path, summary: 'Accepted messages, newest first' },
    query: z.strictObject({
      to: address.optional().describe('recipient address or domain'),
      from: address.optional().describe('sender address or domain'),
      method: z.enum(methodNames).optional().describe('only with a recipient served by this method'),
      reason: z.string().min(1).max(64).optional().describe('only with a recipient of this reason code'),
      ...paging,
    }),
    answers: { status: 200, what: 'one page', shape: messagesShape },
    run: async ({ parts, query: { cursor, limit = usualLimit, ...filter } }) => {
      const found = await listMessages(parts.db, { ...given(filter), ...(cursor && { after: cursor }), limit: limit + 1 })
      const { rows, next } = page(found, limit, ({ acceptedAt, id }) => ({ at: acceptedAt, id }))
      return ok({ messages: rows, next })
    },
  }),
  route({
    ...{ ...looks, method: 'GET', path: `${path}/{message}`, summary: 'One message and all its recipients; by our id, or the Message-ID' },
    answers: { status: 200, what: 'the message', shape: messageShape },
    problems: ['not-found'],
    run: async ({ parts, path: { message = '' } }) => {
      const [found] = await findMessages(parts.db, message)
      return found === undefined ? unknown(message) : ok(found)
    },
  }),
  route({
    ...{ ...looks, method: 'GET', path: `${path}/{message}/explain`, summary: 'Why it went as it went, and what would have changed it' },
    query: z.strictObject({ to: address.optional().describe('one recipient of it') }),
    answers: { status: 200, what: 'the first recipient; `all` beside it where there are several', shape: explanationShape },
    problems: ['not-found'],
    run: async ({ parts, path: { message = '' }, query: { to } }) => {
      const explanations = await readExplanations(parts, message, to)
      if (explanations.length === 0) return unknown(message, to)
      return ok({ ...explanations[0], ...(explanations.length > 1 && { all: explanations }) })
    },
  }),
  route({
    ...{ ...looks, method: 'GET', path: '/api/v1/letters', summary: 'Sealed letters, newest first' },
    query: z.strictObject(paging),
    answers: { status: 200, what: 'one page', shape: lettersShape },
    run: async ({ parts, query: { cursor, limit = usualLimit } }) => {
      const found = await listLetters(parts.db, { ...(cursor && { after: cursor }), limit: limit + 1 })
      const { rows, next } = page(found, limit, ({ createdAt, id }) => ({ at: createdAt, id }))
      return ok({ letters: rows, next })
    },
  }),
]

/** Without the parameters that were not given. */
const given = <T extends object>(filter: T): { [Name in keyof T]?: NonNullable<T[Name]> } =>
  Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as { [Name in keyof T]?: NonNullable<T[Name]> }

const unknown = (message: string, to?: string): Answer =>
  problem(
    'not-found',
    `no message ${JSON.stringify(message.slice(0, 100))}${to === undefined ? '' : ' to this recipient'}: give our id, or the Message-ID`,
  )
