import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { problems } from '../../../src/web/api/problem.ts'
import { routes } from '../../../src/web/api/routes.ts'
import { type ApiWorld, startApiWorld } from './world.ts'

type Operation = {
  readonly operationId: string
  readonly description: string
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean; readonly schema: object }[]
  readonly requestBody?: { readonly content: Record<string, { readonly schema: object }> }
  readonly responses: Record<string, { readonly description: string }>
}
type Document = {
  readonly openapi: string
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { readonly schemas: Record<string, Record<string, unknown>>; readonly securitySchemes: object }
}

let world: ApiWorld
let document: Document
before(async () => {
  world = await startApiWorld()
  document = (await world.ask('/api/openapi.json')).json() as unknown as Document
})
after(() => world?.close())

const operations = () =>
  Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, operation })))

describe('/api/openapi.json', () => {
  test('is OpenAPI 3.1, open to anybody, and describes exactly what is served', () => {
    assert.match(document.openapi, /^3\.1\.\d$/)
    const described = operations().map(({ path, method }) => `${method.toUpperCase()} ${path}`)
    assert.deepEqual(described.sort(), routes.map(({ method, path }) => `${method} ${path}`).sort())
  })

  test('describes nothing that is not answered, and every described address asks for a token', async () => {
    for (const { path, method } of operations()) {
      // Fewer than ten: the eleventh failure of an address waits.
      world.later(11 * 60_000)
      assert.equal((await world.ask(path.replace(/\{\w+\}/g, 'x'), { method: method.toUpperCase() })).status, 401, path)
    }
  })

  test('names every operation once, each parameter of its path, its roles and its problems', () => {
    const ids = operations().map(({ operation }) => operation.operationId)
    assert.equal(new Set(ids).size, ids.length)
    for (const { path, operation } of operations()) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      assert.deepEqual(
        operation.parameters.filter((one) => one.in === 'path').map(({ name }) => name),
        named,
      )
      assert.match(operation.description, /Roles: owner/)
      for (const status of ['400', '401', '403', '429', '500']) assert.ok(operation.responses[status] !== undefined, `${path} ${status}`)
    }
    const put = document.paths['/api/v1/policy']?.put
    assert.deepEqual(
      put?.parameters.map(({ name, required }) => [name, required]),
      [
        ['comment', false],
        ['If-Match', true],
        ['Idempotency-Key', false],
      ],
    )
    assert.deepEqual(Object.keys(put?.requestBody?.content ?? {}), ['application/json', 'application/yaml'])
    for (const code of ['policy-changed', 'policy-invalid', 'if-match-needed', 'too-large'])
      assert.ok(
        Object.values(put?.responses ?? {}).some(({ description }) => description.includes(`${code}:`)),
        code,
      )
  })

  test('holds the schema of policies and the codes of all problems, and every reference in it leads somewhere', () => {
    const { schemas } = document.components
    assert.equal(schemas.Policy?.title, 'Letterlock policy')
    assert.deepEqual((schemas.Problem?.properties as { code: { enum: string[] } }).code.enum, Object.keys(problems))
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map(([, to = '']) => to)
    assert.ok(references.length > 50)
    for (const to of references) assert.ok(schemas[to.replace('#/components/schemas/', '')] !== undefined, to)
  })

  test('satisfies a validator of others', async () => {
    const { valid, errors } = await new Validator().validate(JSON.parse(JSON.stringify(document)))
    assert.ok(valid, `${JSON.stringify(errors)}`.slice(0, 2000))
    const broken = { ...document, paths: { '/x': { get: { responses: { 200: {} } } } } }
    assert.equal((await new Validator().validate(broken)).valid, false)
  })
})
