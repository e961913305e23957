import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { roles } from '../../../src/web/api/roles.ts'
import { routes } from '../../../src/web/api/routes.ts'
import { type ApiWorld, startApiWorld } from './world.ts'

/** Written out, so that no change of the table goes unseen: the first letters of owner, policy, operator (r), auditor, helpdesk. */
const table: { readonly [route: string]: string } = {
  'GET /api/v1/policy': 'opra',
  'PUT /api/v1/policy': 'op',
  'POST /api/v1/policy/check': 'opa',
  'POST /api/v1/policy/test': 'opa',
  'POST /api/v1/policy/preview': 'opa',
  'POST /api/v1/policy/simulate': 'opa',
  'GET /api/v1/policy/schema': 'opra',
  'GET /api/v1/policy/revisions': 'opra',
  'GET /api/v1/policy/revisions/{revision}': 'opra',
  'GET /api/v1/policy/diff': 'opra',
  'POST /api/v1/policy/rollback': 'op',
  'GET /api/v1/messages': 'orah',
  'GET /api/v1/messages/{message}': 'orah',
  'GET /api/v1/messages/{message}/explain': 'orah',
  'GET /api/v1/letters': 'orah',
  'GET /api/v1/queue': 'ora',
  'POST /api/v1/queue/retry': 'or',
  'POST /api/v1/queue/hold': 'or',
  'POST /api/v1/queue/release': 'or',
  'POST /api/v1/queue/bounce': 'or',
  'GET /api/v1/domains': 'opra',
  'GET /api/v1/domains/{domain}': 'opra',
  'POST /api/v1/domains/{domain}/check': 'opr',
  'GET /api/v1/audit': 'oa',
}
const letters = { owner: 'o', policy: 'p', operator: 'r', auditor: 'a', helpdesk: 'h' } as const

let world: ApiWorld
before(async () => {
  world = await startApiWorld()
})
after(() => world?.close())

describe('the roles', () => {
  test('are written out here for every route', () => {
    assert.deepEqual(routes.map(({ method, path }) => `${method} ${path}`).sort(), Object.keys(table).sort())
  })

  for (const role of roles)
    test(`let ${role} do what the table says, over the wire, and nothing else`, async () => {
      const token = await world.tokenOf(role)
      const opened: string[] = []
      for (const { method, path } of routes) {
        // A body that no route takes: whoever is allowed is told so, and nothing is changed.
        const body = method === 'GET' ? {} : { headers: { 'content-type': 'application/json' }, body: '{"no":"such"}' }
        const { status, json } = await world.ask(path.replace(/\{\w+\}/g, 'x'), { method, token, ...body })
        if (status === 403) assert.equal(json().code, 'not-allowed')
        else opened.push(`${method} ${path}`)
        assert.notEqual(status, 401)
        assert.ok(status < 500, `${method} ${path}: ${status}`)
      }
      assert.deepEqual(
        opened.sort(),
        Object.keys(table)
          .filter((name) => table[name]?.includes(letters[role]))
          .sort(),
      )
    })

  test('read no content: no right and no route is for it', () => {
    for (const { path, right } of routes) assert.ok(!/content|body|subject|eml/.test(path + right))
  })
})
