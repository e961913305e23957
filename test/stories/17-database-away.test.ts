/** The database goes away while mail comes in: clients are told to come again, nothing accepted is lost, and no restart is needed. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Postgres, startPostgres, withoutPostgres } from '../world/postgres.ts'
import { eventually, startWorld, type World } from './world.ts'

describe('a PostgreSQL that goes away', { skip: withoutPostgres }, () => {
  let server: Postgres
  let world: World
  before(async () => {
    server = await startPostgres()
    world = await startWorld(
      { 'lab.example': {} },
      { database: await server.makeDatabase(), 'limits.databasePatience': 4000, 'limits.claim': 8000 },
    )
  })
  after(async () => {
    await world?.close()
    await server?.close()
  })
  const mail = (subject: string) => ({ from: 'a@org.example', to: 'b@lab.example', subject, text: subject })
  const taken = (subject: string) => eventually('mail to be taken', () => world.send(mail(subject)).catch(() => undefined))
  const subjects = () =>
    (world.partners['lab.example']?.mails ?? []).map(({ content }) => /^Subject: (.*)$/im.exec(content.toString())?.[1])

  const metrics = () => fetch(`http://127.0.0.1:${world.settings['metrics.listen'].port}/metrics`)
  const withoutFigures = async () => {
    const answer = await metrics()
    assert.equal(answer.status, 503)
    assert.match(await answer.text(), /^there are no figures, for the database does not answer: ./)
  }

  it('makes clients wait, then refuses with 451, and takes mail again when it is back', async () => {
    await world.settled(await world.send(mail('before')))
    await server.stop('immediate')
    await Promise.all([assert.rejects(world.send(mail('refused')), /451/), withoutFigures()])
    // Begun while the database is away: it waits, and is taken or told to come again.
    const late = world.send(mail('late')).catch((error: Error) => assert.match(error.message, /451/))
    await pause(300)
    await server.start()
    await late
    await world.settled(await taken('again'))
    assert.ok(subjects().includes('before') && subjects().includes('again'))
    assert.ok(!subjects().includes('refused'))
    assert.equal((await metrics()).status, 200)
  })

  it('keeps what was accepted: an attempt that could not be recorded is made again at the most', async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, (_, i) => taken(`kept ${i}`)))
    await server.stop('immediate')
    await pause(1500)
    await server.start()
    for (const id of ids) await world.settled(id)
    for (const i of ids.keys()) assert.ok(subjects().includes(`kept ${i}`), `kept ${i}`)
  })
})
