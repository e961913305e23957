/** Describes the API for programs (OpenAPI 3.1), from the very table that is served. */
import { z } from 'zod'
import { methods } from '../../methods/index.ts'
import { policySchema } from '../../routing/schema.ts'
import { type ProblemCode, problems } from './problem.ts'
import { rightsOf, roles } from './roles.ts'
import type { Route } from './route.ts'
import { routes } from './routes.ts'
import { policyProblem } from './shapes.ts'

type Schema = { readonly [keyword: string]: unknown }

let made: Schema | undefined

/** The document, made at the first question. */
export function openapi(): Schema {
  made ??= {
    openapi: '3.1.0',
    info: {
      title: 'Letterlock',
      version: '1',
      description: 'Rules, mail, queue, domains and audit trail of a Letterlock gateway. Fields may be added to any answer.',
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths: pathsOf(routes),
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'made by `letterlock token create --role ROLE`' } },
      schemas: {
        ...policySchemas(),
        Problem: problemSchema,
      },
    },
  }
  return made
}

/** The language as `Policy`, its parts beside it as `Policy.rule` and so on: few programs follow references inside a schema of its own name. */
function policySchemas(): { readonly [name: string]: Schema } {
  const text = JSON.stringify(policySchema(methods)).replaceAll('"#/$defs/', '"#/components/schemas/Policy.')
  const { $defs, $schema: _, ...policy } = JSON.parse(text) as Schema & { readonly $defs: { readonly [name: string]: Schema } }
  return { Policy: policy, ...Object.fromEntries(Object.entries($defs).map(([name, schema]) => [`Policy.${name}`, schema])) }
}

const problemSchema: Schema = {
  description: 'RFC 9457',
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string', format: 'uri-reference' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { enum: Object.keys(problems) },
    detail: { type: 'string', description: 'a sentence for a person' },
    problems: { type: 'array', items: schemaOf(policyProblem), description: 'mistakes of a policy with their places' },
  },
}

function pathsOf(table: readonly Route[]): Schema {
  const paths: { [path: string]: { [method: string]: Schema } } = {}
  for (const one of table) paths[one.path] = { ...paths[one.path], [one.method.toLowerCase()]: operationOf(one) }
  return paths
}

const operationOf = (one: Route): Schema => ({
  operationId: operationId(one),
  summary: one.summary,
  description: `Right: ${one.right}. Roles: ${roles.filter((role) => rightsOf[role].includes(one.right)).join(', ')}.`,
  parameters: [...inPath(one), ...inQuery(one), ...inHeader(one)],
  ...(one.body === undefined ? {} : { requestBody: { required: true, content: bodyOf(one.body, one.yaml) } }),
  responses: {
    [one.answers.status]: goodAnswer(one),
    ...(one.fields?.some(({ name }) => name === 'If-None-Match') ? { 304: { description: 'the one that If-None-Match names' } } : {}),
    ...badAnswers(one),
  },
})

/** `GET /api/v1/policy/revisions/{revision}` → `getPolicyRevisionsRevision`. */
const operationId = ({ method, path }: Route): string =>
  [
    method.toLowerCase(),
    ...(path.slice('/api/v1/'.length).match(/\w+/g) ?? []).map((word) => word.charAt(0).toUpperCase() + word.slice(1)),
  ].join('')

const inPath = ({ path }: Route): Schema[] =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }))

function inQuery({ query }: Route): Schema[] {
  const optional = (shape: unknown) => shape instanceof z.ZodType && shape.safeParse(undefined).success
  return Object.entries(query.shape).map(([name, shape]) => ({
    name,
    in: 'query',
    required: !optional(shape),
    schema: schemaOf(shape as z.ZodType),
  }))
}

const inHeader = ({ fields = [], changes = false }: Route): Schema[] => [
  ...fields.map(({ name, required }) => ({ name, in: 'header', required, schema: { type: 'string' } })),
  ...(changes ? [{ name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string', maxLength: 255 } }] : []),
]

const bodyOf = (body: z.ZodType, yaml = false): Schema => ({
  'application/json': { schema: schemaOf(body) },
  ...(yaml ? { 'application/yaml': { schema: { $ref: '#/components/schemas/Policy' } } } : {}),
})

const goodAnswer = ({ answers: { what, shape, types = ['application/json'] } }: Route): Schema => ({
  description: what,
  content: Object.fromEntries(
    types.map((type) => [type, { schema: type === 'application/json' && shape !== undefined ? schemaOf(shape) : {} }]),
  ),
})

/** What may become of any request, and what of this one besides. */
function badAnswers({ problems: own = [], body, changes }: Route): Schema {
  const codes: ProblemCode[] = [
    ...(['request-malformed', 'token-refused', 'not-allowed', 'too-many-failures', 'fault'] as const),
    ...(body === undefined ? [] : (['too-large', 'unsupported-media-type'] as const)),
    ...(changes === true ? (['request-under-way', 'key-used', 'outcome-unknown'] as const) : []),
    ...own,
  ]
  const statuses = [...new Set(codes.map((code) => problems[code].status))]
  return Object.fromEntries(statuses.map((status) => [status, badAnswer(codes.filter((code) => problems[code].status === status))]))
}

const badAnswer = (codes: readonly ProblemCode[]): Schema => ({
  description: codes.map((code) => `${code}: ${problems[code].title}`).join('; '),
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
})

/** As it is sent, before it is read. */
function schemaOf(shape: z.ZodType): Schema {
  const { $schema: _, ...schema } = z.toJSONSchema(shape, { io: 'input', unrepresentable: 'any' })
  return schema
}
