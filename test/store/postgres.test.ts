/** PostgreSQL: the contract of every engine, and what is its own: lost connections, unknown outcomes, limits, refusals. */
import { after, before, describe } from 'node:test'
import { openPostgres } from '../../src/store/postgres.ts'
import { type Postgres, startPostgres, withoutPostgres } from '../world/postgres.ts'
import { dbContract } from './db-contract.ts'

describe('PostgreSQL', { skip: withoutPostgres }, () => {
  let server: Postgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.close())

  dbContract('PostgreSQL', async () => {
    const address = await server.makeDatabase()
    return { open: () => openPostgres(address), drop: async () => {} }
  })
})
