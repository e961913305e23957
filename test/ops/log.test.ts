/** The log keeps secrets to itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog } from '../../src/ops/log.ts'

function logged(level: 'info' | 'error', write: (log: ReturnType<typeof createLog>) => void): string {
  let text = ''
  write(
    createLog(
      { 'log.level': level },
      {
        write: (line) => {
          text += line
        },
      },
    ),
  )
  return text
}

test('fields that hold secrets are blacked out at every depth we use', () => {
  const line = logged('info', (log) =>
    log.info({ password: 'canary', code: 'canary', session: { cookie: 'canary', user: { secret: 'canary' } } }, 'a sentence'),
  )
  assert.ok(!line.includes('canary'), line)
  assert.match(line, /"msg":"a sentence"/)
})

test('secrets are blacked out in lists, in child loggers and their children, and what was given stays as it is', () => {
  const given = { tokens: [{ token: 'canary' }, 'plain'], user: { pass: 'canary', name: 'ann' } }
  const line = logged('info', (log) =>
    log
      .child({ password: 'canary', user: { cookie: 'canary' } })
      .child({ link: 'canary' })
      .info(given, 'a sentence'),
  )
  assert.ok(!line.includes('canary'), line)
  assert.match(line, /"name":"ann"/)
  assert.equal(line.match(/•••/g)?.length, 5)
  assert.equal(given.user.pass, 'canary')
})

test('an error that stands deeper is described like one at the top, and what is thrown and no error is a text', () => {
  const error = Object.assign(new Error('no route'), { request: 'canary', code: 'ENOENT' })
  const line = logged('info', (log) => log.info({ tried: [{ because: error }], err: error }))
  assert.ok(!line.includes('canary'))
  assert.equal(line.match(/"errno":"ENOENT"/g)?.length, 2)
  assert.match(
    logged('info', (log) => log.error({ err: 'just words' })),
    /"err":"just words"/,
  )
})

test('what is thrown and no error is shown without its fields, wherever it came from', () => {
  const thrown = { message: 'refused', response: 'canary', request: { body: 'canary' } }
  for (const line of [
    logged('info', (log) => log.error({ err: thrown })),
    logged('info', (log) => log.child({ err: thrown }).error('failed')),
  ])
    assert.ok(!line.includes('canary'), line)
})

test('a letter link is blacked out wherever it stands, errors and child loggers included', () => {
  const link = 'https://letters.example/m/k3v9x2m7q4t6w5z6n5r2p3s7d2f4h4j6'
  const text = logged('info', (log) => {
    log.info({ url: link }, `see ${link}`)
    log.child({ part: 'portal', path: '/m/K3V9X2M7Q4T6W5Z6N5R2P3S7D2F4H4J6' }).warn({ err: new Error(`bad ${link}`) }, 'failed')
  })
  assert.ok(!/k3v9/i.test(text), text)
  assert.equal(text.match(/\/m\/•••/g)?.length, 5)
})

test('an error is logged without what libraries hang on it', () => {
  const line = logged('info', (log) =>
    log.error({ err: Object.assign(new Error('no route'), { code: 'EHOSTUNREACH', request: 'canary' }) }),
  )
  assert.ok(!line.includes('canary'))
  assert.match(line, /"message":"no route"/)
  assert.match(line, /"errno":"EHOSTUNREACH"/)
})

test('the level decides what is written', () => {
  assert.equal(
    logged('error', (log) => log.warn('not this')),
    '',
  )
})
