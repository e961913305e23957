/** What a route of the API is: its address, who may ask, what it takes and what it answers. Serving and OpenAPI read the same. */
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import type { Detect } from '../../detect/detect.ts'
import type { Clock } from '../../ops/clock.ts'
import type { Settings } from '../../ops/settings.ts'
import type { Examine } from '../../routing/examine.ts'
import type { ReadText } from '../../routing/examiner.ts'
import type { PolicyStore } from '../../routing/store.ts'
import type { Db } from '../../store/db.ts'
import { type Answer, type ProblemCode, problem } from './problem.ts'
import type { Right, Role } from './roles.ts'

/** What routes work with. */
export type RouteParts = {
  readonly settings: Settings
  readonly db: Db
  readonly clock: Clock
  readonly policies: PolicyStore
  readonly examine: Examine
  readonly read: ReadText
  readonly detect: Detect
}

/** One request that may be answered: its asker is known and allowed. */
export type Call = {
  readonly parts: RouteParts
  /** Who asks, as the audit knows them. */
  readonly actor: string
  readonly role: Role
  readonly path: { readonly [name: string]: string }
  readonly headers: IncomingHttpHeaders
  /** Aborted when the asker goes away. */
  readonly signal: AbortSignal
}
/** A call whose query and body are as they came: texts, and what the body's type makes of it. */
export type RawCall = Call & { readonly query: { readonly [name: string]: string }; readonly body: unknown }

type Facts = {
  readonly method: 'GET' | 'PUT' | 'POST'
  /** With its parameters in braces: `/api/v1/messages/{message}`. */
  readonly path: string
  readonly right: Right
  readonly summary: string
  /** Shows what became of a person's mail: the look is in the audit. */
  readonly looks?: boolean
  /** Changes something, so that an Idempotency-Key is honoured. */
  readonly changes?: boolean
  /** What a good answer says. */
  readonly answers: { readonly status: number; readonly what: string; readonly shape?: z.ZodType; readonly types?: readonly string[] }
  readonly problems?: readonly ProblemCode[]
  /** Header fields that it reads. */
  readonly fields?: readonly { readonly name: 'If-Match' | 'If-None-Match'; readonly required: boolean }[]
  /** The body may be the text of a policy itself, as application/yaml. */
  readonly yaml?: boolean
  /** Its JSON may be as long as that of a policy. */
  readonly long?: boolean
}

export type Route = Facts & {
  readonly query: z.ZodObject
  readonly body: z.ZodType | undefined
  readonly answer: (call: RawCall) => Promise<Answer>
}

const nothing = z.strictObject({})

/** A route that takes these parameters and this body; a call that brings others is answered 400 without running it. */
export function route<Query extends z.ZodObject = typeof nothing, Body extends z.ZodType = z.ZodUndefined>(
  given: Facts & {
    readonly query?: Query
    readonly body?: Body
    readonly run: (call: Call & { readonly query: z.infer<Query>; readonly body: z.infer<Body> }) => Promise<Answer>
  },
): Route {
  const { query: asked, body: taken, run, ...facts } = given
  return {
    ...facts,
    query: asked ?? nothing,
    body: taken,
    answer: async ({ query, body, ...call }) => {
      const [readQuery, readBody] = [(asked ?? nothing).safeParse(query), (taken ?? z.undefined()).safeParse(body)]
      if (!readQuery.success) return problem('request-malformed', `query: ${told(readQuery.error)}`)
      if (!readBody.success) return problem('request-malformed', `body: ${told(readBody.error)}`)
      return run({ ...call, query: readQuery.data as z.infer<Query>, body: readBody.data as z.infer<Body> })
    },
  }
}

/** At most three mistakes, without what was sent: it may be anything. */
const told = ({ issues }: z.core.$ZodError): string =>
  issues
    .slice(0, 3)
    .map(({ path, message }) => `${path.length === 0 ? '' : `${path.join('.')}: `}${message}`)
    .join('; ')
    .slice(0, 400)

/** A good answer with a JSON body. */
export const ok = (body: unknown, headers: Answer['headers'] = {}): Answer => ({ status: 200, body, headers })
