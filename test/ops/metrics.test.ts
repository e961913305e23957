/** What /metrics says, whatever the database does meanwhile. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { parse } from 'yaml'
import { methodNames } from '../../src/methods/index.ts'
import { counted, counters } from '../../src/ops/counters.ts'
import { startHealth } from '../../src/ops/health.ts'
import { createMetrics, type Figures, type Standing } from '../../src/ops/metrics.ts'
import { packageRoot } from '../../src/ops/package-root.ts'
import { eventually } from '../world/eventually.ts'
import { readExposition } from '../world/exposition.ts'

let looks = 0
let answer: () => Promise<Figures>
let standing: Standing
const nothing: Figures = { counts: [], queue: { waiting: 0, held: 0 }, oldest: 0, letters: { waiting: 0, notified: 0, read: 0 } }
const open = () => {
  looks = 0
  answer = async () => nothing
  standing = { ready: true, chainSound: undefined }
  return createMetrics({
    engine: 'sqlite',
    standing: async () => standing,
    figures: () => {
      looks += 1
      return answer()
    },
  })
}
const textOf = async (metrics: ReturnType<typeof open>) => {
  const exposed = await metrics.expose()
  return exposed.kind === 'text' ? exposed.text : assert.fail(exposed.text)
}

test('the text is one that a strict reader takes, also when it is asked for twice at once', async () => {
  const metrics = open()
  for (const text of await Promise.all([textOf(metrics), textOf(metrics), textOf(metrics)])) {
    const { types, helps } = readExposition(text)
    assert.deepEqual([...types.keys()].sort(), [...helps.keys()].sort())
    for (const name of Object.keys(counters)) assert.equal(types.get(name), 'counter')
  }
})

test('what is counted on every node says so, and what is of one node does not', async () => {
  const { helps } = readExposition(await textOf(open()))
  const ours = [...helps].filter(([name]) => name.startsWith('letterlock_'))
  const ofNode = ours.filter(([, help]) => !/the same on every node/i.test(help)).map(([name]) => name)
  assert.deepEqual(ofNode, [
    ...['letterlock_build_info', 'letterlock_ready', 'letterlock_audit_chain_ok'],
    ...['letterlock_delivery_duration_seconds', 'letterlock_time_to_read_seconds'],
  ])
})

test('a node says whether it takes mail, and of the audit chain what was found, once it was looked at', async () => {
  const metrics = open()
  const shown = async () => {
    const { samples } = readExposition(await textOf(metrics))
    return [samples.get('letterlock_ready'), samples.get('letterlock_audit_chain_ok')]
  }
  assert.deepEqual(await shown(), [1, undefined])
  standing = { ready: false, chainSound: true }
  assert.deepEqual(await shown(), [0, 1])
  standing = { ready: true, chainSound: false }
  assert.deepEqual(await shown(), [1, 0])
  standing = { ready: true, chainSound: undefined }
  assert.deepEqual(await shown(), [1, undefined])
})

test('figures are shown as they are now: what is gone is not left standing', async () => {
  const metrics = open()
  answer = async () => ({ ...nothing, counts: [counted('letterlock_codes_total', { result: 'sent' }, 7)], oldest: 1500 })
  const shown = readExposition(await textOf(metrics)).samples
  assert.deepEqual([shown.get('letterlock_codes_total{result="sent"}'), shown.get('letterlock_queue_oldest_seconds')], [7, 1.5])
  answer = async () => nothing
  const later = await eventually('another look', async () => {
    const { samples } = readExposition(await textOf(metrics))
    return samples.get('letterlock_queue_oldest_seconds') === 0 ? samples : undefined
  })
  assert.equal(later.get('letterlock_codes_total{result="sent"}'), undefined)
})

test('the database is asked once for all who ask meanwhile, and rests longer the longer it took', async () => {
  const metrics = open()
  let tell = (_: Figures) => {}
  answer = () =>
    new Promise((resolve) => {
      tell = resolve
    })
  const asked = [metrics.expose(), metrics.expose()]
  await new Promise((resolve) => setTimeout(resolve, 200))
  tell(nothing)
  await Promise.all(asked)
  assert.equal(looks, 1)
  await metrics.expose()
  assert.equal(looks, 1, 'a look of 200 ms is worth four seconds')
})

test('a database that fails, or does not answer, is told in a sentence and asked again the next time', async () => {
  const metrics = open()
  answer = async () => {
    throw new Error('connect ECONNREFUSED')
  }
  const text = 'there are no figures, for the database does not answer: connect ECONNREFUSED'
  assert.deepEqual(await metrics.expose(), { kind: 'trouble', text })
  const health = await startHealth({ host: '127.0.0.1', port: 0 }, () => undefined, metrics.expose)
  after(health.close)
  const response = await fetch(`http://127.0.0.1:${health.port}/metrics`)
  assert.deepEqual([response.status, await response.text()], [503, `${text}\n`])
  answer = async () => nothing
  const again = await fetch(`http://127.0.0.1:${health.port}/metrics`)
  assert.deepEqual([again.status, again.headers.get('content-type')], [200, 'text/plain; version=0.0.4; charset=utf-8'])
})

test('whatever a label holds cannot break out of its line', async () => {
  const metrics = open()
  answer = async () => ({ ...nothing, counts: [counted('letterlock_codes_total', { result: 'a"b\\c\nletterlock_x 1' })] })
  const { samples } = readExposition(await textOf(metrics))
  assert.equal(samples.has('letterlock_x'), false)
  assert.equal([...samples.keys()].filter((key) => key.startsWith('letterlock_codes_total')).length, 1)
})

describe('docs/metrics.md', () => {
  const text = readFileSync(join(packageRoot, 'docs/metrics.md'), 'utf8')
  const shown = [...text.matchAll(/^\| `(letterlock_\w+)` \| ([^|]*)\|/gm)].map(
    ([, name = '', labels = '']) => [name, [...labels.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? '')] as const,
  )

  test('tells of each metric, and of no other', async () => {
    const { types } = readExposition(await textOf(open()))
    const ours = [...types.keys()].filter((name) => name.startsWith('letterlock_'))
    assert.deepEqual(shown.map(([name]) => name).sort(), ours.sort())
  })

  test('tells the labels of what is counted, and each way as a method', () => {
    const told = new Map(shown)
    for (const [name, { labels }] of Object.entries(counters)) assert.deepEqual(told.get(name), [...labels], name)
    const methods = /^\| `method` \| (.*) \|$/m.exec(text)?.[1] ?? ''
    for (const name of [...methodNames, 'bounce', 'none']) assert.ok(methods.includes(`\`${name}\``), name)
  })

  test('shows a configuration and rules that are YAML, and speak of metrics that there are', async () => {
    const { types } = readExposition(await textOf(open()))
    const blocks = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => parse(match[1] ?? '') as object)
    assert.deepEqual(
      blocks.map((block) => Object.keys(block)),
      [['scrape_configs'], ['groups']],
    )
    const named = [...JSON.stringify(blocks[1]).matchAll(/letterlock_\w+/g)].map((match) => match[0])
    assert.ok(named.length >= 5)
    assert.deepEqual(
      named.filter((name) => !types.has(name)),
      [],
    )
  })
})
