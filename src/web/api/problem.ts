/** What the API answers when it does not do what was asked: problem documents of RFC 9457, each with a code that programs may rely on. */
import type { Problem as PolicyProblem } from '../../routing/problem.ts'

/** One answer; a text is sent as it is, anything else as JSON. */
export type Answer = {
  readonly status: number
  readonly body: unknown
  readonly headers?: { readonly [name: string]: string }
}

/** Every problem there is, with what GET /api/problems says of it. */
export const problems = {
  'request-malformed': { status: 400, title: 'The request cannot be read as it stands' },
  'token-refused': { status: 401, title: 'No token, or none that is good' },
  'not-allowed': { status: 403, title: 'The role of this token may not do this' },
  'https-needed': { status: 403, title: 'The API is not served in clear over a network' },
  'not-found': { status: 404, title: 'There is nothing of this name' },
  'method-not-allowed': { status: 405, title: 'This address does not take this method' },
  'not-acceptable': { status: 406, title: 'Not available in the form asked for' },
  'request-under-way': { status: 409, title: 'The request with this Idempotency-Key has not ended' },
  'policy-changed': { status: 412, title: 'Another policy is in force than the one that If-Match names' },
  'too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'The body is of a type that is not read here' },
  'policy-invalid': { status: 422, title: 'The policy has mistakes or failing tests; the one in force stays' },
  'key-used': { status: 422, title: 'This Idempotency-Key was used for another request' },
  'if-match-needed': { status: 428, title: 'Say with If-Match which policy you change' },
  'too-many-failures': { status: 429, title: 'Too many refused tokens from this address' },
  fault: { status: 500, title: 'Something is wrong on our side' },
  'policy-altered': { status: 503, title: 'The policy in force was altered in the database' },
  'outcome-unknown': { status: 503, title: 'The database broke off: the change may have been done, or not' },
  unavailable: { status: 503, title: 'What is needed for an answer does not answer' },
} as const satisfies { readonly [code: string]: { readonly status: number; readonly title: string } }
export type ProblemCode = keyof typeof problems

type More = { readonly problems?: readonly PolicyProblem[]; readonly headers?: Answer['headers'] }

/** The answer for a problem: `detail` is a sentence for a person; `problems` are the places in a policy. */
export function problem(code: ProblemCode, detail: string, { problems: places, headers = {} }: More = {}): Answer {
  const { status, title } = problems[code]
  return {
    status,
    headers: { ...headers, 'content-type': 'application/problem+json' },
    body: { type: `/api/problems#${code}`, title, status, code, detail, ...(places && { problems: places }) },
  }
}
