import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from '../../src/store/db.ts'
import { type Exposed, readExposition } from '../world/exposition.ts'
import { form, reader } from './reader.ts'
import { eventually, startWorld, type World } from './world.ts'

let world: World
before(async () => {
  world = await startWorld({
    'lab.example': {},
    'town.example': { certificate: 'none' },
    'picky.example': { manner: { script: (verb) => (verb === 'RCPT' ? '550 5.1.1 no such user here' : undefined) } },
    'down.example': { manner: { script: (verb) => (verb === 'CONNECT' ? '421 4.3.2 closed for today' : undefined) } },
  })
})
after(() => world?.close())

const ask = (path = '/metrics', method = 'GET') => {
  const { host, port } = world.settings['metrics.listen']
  return fetch(`http://${host}:${port}${path}`, { method })
}
const scrape = async (): Promise<Exposed & { text: string }> => {
  const text = await (await ask()).text()
  return { ...readExposition(text), text }
}
/** The counters that outlive the gateway, alone. */
const lasting = ({ samples, types }: Exposed) =>
  Object.fromEntries([...samples].filter(([key]) => types.get(key.replace(/\{.*$/, '')) === 'counter' && key.startsWith('letterlock_')))
const send = (to: string | string[]) => world.send({ from: 'Anna <a@org.example>', to, subject: 'Results', text: 'All is well.' })
const attempts = async () => (await world.db.read(sql`SELECT id FROM decision JOIN recipient ON recipient.id = decision.recipient`)).length

test('mail by TLS, as a letter and returned is counted by way, channel, result and reason, each once', async () => {
  await world.settled(await send(['vera@lab.example', 'otto@lab.example']))
  await world.settled(await send('max@town.example'))
  await world.settled(await send('nobody@picky.example'))
  await world.arrival(world.own)
  const { samples, text } = await eventually('the report to be counted', async () => {
    const scraped = await scrape()
    return scraped.samples.get('letterlock_own_mail_total{kind="dsn",result="delivered"}') === 1 ? scraped : undefined
  })
  const is = (key: string, value: number) => assert.equal(samples.get(key), value, `${key} in\n${text}`)
  is('letterlock_messages_accepted_total', 3)
  is('letterlock_deliveries_total{assurance="verified",method="tls",result="delivered"}', 2)
  is('letterlock_decisions_total{method="tls",reason="none"}', 2)
  is('letterlock_deliveries_total{assurance="none",method="escrow",result="letter"}', 1)
  is('letterlock_decisions_total{method="escrow",reason="starttls-not-supported"}', 1)
  is('letterlock_tls_failures_total{reason="starttls-not-supported"}', 1)
  is('letterlock_deliveries_total{assurance="none",method="tls",result="bounced"}', 1)
  is('letterlock_decisions_total{method="tls",reason="recipient-refused"}', 1)
  is('letterlock_own_mail_total{kind="notice",result="delivered"}', 1)
  is('letterlock_letters{state="notified"}', 1)
  is('letterlock_queue_messages{state="waiting"}', 0)
  is('letterlock_queue_messages{state="held"}', 0)
  is('letterlock_queue_oldest_seconds', 0)
  is('letterlock_ready', 1)
  is('letterlock_delivery_duration_seconds_count{method="tls"}', 2)
  is('letterlock_delivery_duration_seconds_count{method="escrow"}', 1)
})

test('every decision record is one count, those of mail of our own included', async () => {
  const sum = (start: string, samples: Exposed['samples']) =>
    [...samples].filter(([key]) => key.startsWith(start)).reduce((all, [, value]) => all + value, 0)
  const { samples } = await scrape()
  const ours = sum('letterlock_own_mail_total{', samples)
  assert.equal(sum('letterlock_deliveries_total{', samples) + ours, await attempts())
  assert.equal(sum('letterlock_decisions_total{', samples) + ours, await attempts())
})

test('the text is plain, tells what runs, and names no person, host or secret', async () => {
  const answer = await ask()
  assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  const text = await answer.text()
  assert.match(text, /^letterlock_build_info\{version="\d[^"]*",node="v[0-9.]+",engine="(?:sqlite|postgres)"\} 1$/m)
  assert.match(text, /^process_cpu_seconds_total /m)
  assert.match(text, /^nodejs_eventloop_lag_p99_seconds /m)
  assert.doesNotMatch(text, /@|\.example|Anna|Results|127\.0\.0|All is well/)
  const head = await ask('/metrics', 'HEAD')
  assert.deepEqual([head.status, await head.text()], [200, ''])
  assert.equal((await ask('/metrics', 'POST')).status, 405)
})

test('the way of a letter to its reader is counted, and how long it took', async () => {
  const partner = world.partners['town.example'] ?? assert.fail()
  const notice = await world.arrival(partner, ({ content }) => content.includes('/m/'))
  const link = /http:\/\/localhost:\d+\/m\/[0-9a-z]{32}/.exec(notice.content.toString()) ?? assert.fail('the notice has no link')
  const { follow } = reader()
  const landing = form(await follow(link[0]))
  const enter = form(await follow(landing.action, landing.fields))
  const mail = await world.arrival(partner, ({ content }) => /^Subject: \d{4} \d{4}/m.test(content.toString()))
  const code = /^Subject: (\d{4} \d{4})/m.exec(mail.content.toString())?.[1] ?? assert.fail()
  assert.equal((await follow(enter.action, { ...enter.fields, code })).status, 200)
  const { samples } = await eventually('the reading to be counted', async () => {
    const scraped = await scrape()
    return scraped.samples.get('letterlock_link_visits_total{kind="read"}') === 1 ? scraped : undefined
  })
  assert.equal(samples.get('letterlock_letters{state="read"}'), 1)
  assert.equal(samples.get('letterlock_letters{state="notified"}'), 0)
  assert.equal(samples.get('letterlock_codes_total{result="right"}'), 1)
  assert.equal(samples.get('letterlock_link_visits_total{kind="continue"}'), 1)
  assert.equal(samples.get('letterlock_time_to_read_seconds_count'), 1)
  assert.equal(samples.get('letterlock_time_to_read_seconds_bucket{le="60"}'), 1)
})

test('mail that waits shows with its age, and is counted again with each attempt', async () => {
  await send('late@down.example')
  const { samples } = await eventually('the second attempt', async () => {
    const scraped = await scrape()
    const deferred = [...scraped.samples].find(([key]) => /deliveries_total\{.*result="deferred"/.test(key))
    return (deferred?.[1] ?? 0) >= 2 ? scraped : undefined
  })
  assert.equal(samples.get('letterlock_queue_messages{state="waiting"}'), 1)
  const age = samples.get('letterlock_queue_oldest_seconds') ?? 0
  assert.ok(age > 0 && age < 3600, `it is ${age} s old`)
})

test('after a restart the counters go on from where they were', async () => {
  await world.gateway().stop(1000)
  const rows = await world.db.read<{ name: string; sum: number }>(sql`SELECT name, SUM(count) AS sum FROM counter GROUP BY name`)
  await world.restart()
  const before = lasting(await scrape())
  for (const { name, sum } of rows) {
    const shown = Object.entries(before).filter(([key]) => key.replace(/\{.*$/, '') === name)
    assert.ok(shown.reduce((all, [, value]) => all + value, 0) >= sum, `${name} fell below ${sum}`)
  }
  await world.settled(await send('vera@lab.example'))
  const tls = 'letterlock_deliveries_total{assurance="verified",method="tls",result="delivered"}'
  // A look at the database is shown for a while.
  const now = await eventually('the new delivery to be counted', async () => {
    const scraped = lasting(await scrape())
    return (scraped[tls] ?? 0) > (before[tls] ?? 0) ? scraped : undefined
  })
  assert.equal(now[tls], (before[tls] ?? 0) + 1)
  assert.equal(now.letterlock_messages_accepted_total, (before.letterlock_messages_accepted_total ?? 0) + 1)
})
