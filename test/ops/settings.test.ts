/** Settings: where values come from, how they are read, and what each mistake is answered. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { packageRoot } from '../../src/ops/package-root.ts'
import { defaultSettings, describeProblem, loadSettings, pathOf, type Settings, type Sources } from '../../src/ops/settings.ts'
import { settingsMarkdown } from '../../src/ops/settings-docs.ts'
import { printedSettings, settingsInForce } from '../../src/ops/settings-print.ts'
import { environmentName } from '../../src/ops/settings-table.ts'

const folder = mkdtempSync(join(tmpdir(), 'settings-'))
after(() => rmSync(folder, { recursive: true }))

let files = 0
function written(text: string): string {
  const file = join(folder, `${++files}.yaml`)
  writeFileSync(file, text)
  return file
}

function good(text: string, env: { readonly [name: string]: string } = {}): { settings: Settings; sources: Sources; file: string } {
  const file = written(text)
  const loaded = loadSettings({ file, env })
  if (loaded.kind === 'bad') assert.fail(loaded.problems.map(describeProblem).join('\n'))
  return { ...loaded, file }
}

/** The problems as the user sees them, without the folder. */
function bad(text: string, env: { readonly [name: string]: string } = {}): readonly string[] {
  const file = written(text)
  const loaded = loadSettings({ file, env })
  if (loaded.kind === 'settings') assert.fail('these settings should have been refused')
  return loaded.problems.map((problem) => describeProblem(problem).replace(file, 'FILE'))
}

describe('sources', () => {
  test('the environment goes before the file and the file before the default', () => {
    const { settings, sources, file } = good('hostname: file.example\nsmtp:\n  maxRecipients: 7\n', {
      LETTERLOCK_HOSTNAME: 'env.example',
      PATH: '/bin',
    })
    assert.equal(settings.hostname, 'env.example')
    assert.deepEqual(sources.hostname, { from: 'LETTERLOCK_HOSTNAME', text: 'env.example' })
    assert.equal(settings['smtp.maxRecipients'], 7)
    assert.deepEqual(sources['smtp.maxRecipients'], { from: `${file}:3`, text: '7' })
    assert.equal(settings['delivery.port'], 25)
    assert.deepEqual(sources['delivery.port'], { from: 'default', text: '25' })
  })

  test('camel humps and dots of a key become underscores in its environment name', () => {
    assert.equal(environmentName('smtp.maxMessageSize'), 'LETTERLOCK_SMTP_MAX_MESSAGE_SIZE')
    assert.equal(environmentName('smtp.relay.plaintextNetworks'), 'LETTERLOCK_SMTP_RELAY_PLAINTEXT_NETWORKS')
  })

  test('a secret is read from the file that its _FILE variable names', () => {
    const secret = join(folder, 'secret')
    writeFileSync(secret, 'sqlite:/var/lib/letterlock.db\n')
    assert.equal(good('', { LETTERLOCK_DATABASE_FILE: secret }).settings.database, 'sqlite:/var/lib/letterlock.db')
    assert.match(
      bad('', { LETTERLOCK_DATABASE_FILE: join(folder, 'absent') })[0] ?? '',
      /LETTERLOCK_DATABASE_FILE names a file that cannot be read/,
    )
    assert.match(bad('', { LETTERLOCK_HOSTNAME_FILE: secret })[0] ?? '', /LETTERLOCK_HOSTNAME_FILE is not a setting/)
  })

  test('without a file everything has its default', () => {
    const loaded = loadSettings({ env: {} })
    assert.equal(loaded.kind, 'settings')
    if (loaded.kind === 'settings') assert.deepEqual(loaded.settings, defaultSettings())
  })

  test('a settings file that is not there is said so', () => {
    const loaded = loadSettings({ file: join(folder, 'nowhere.yaml'), env: {} })
    assert.equal(loaded.kind, 'bad')
    if (loaded.kind === 'bad')
      assert.match(describeProblem(loaded.problems[0] ?? { key: '', text: '' }), /nowhere\.yaml: the settings file cannot be read: ENOENT/)
  })

  test('dotted keys in the file mean the same as nested ones', () => {
    assert.equal(good('smtp.maxRecipients: 3\n').settings['smtp.maxRecipients'], 3)
    assert.equal(good('retry:\n  tls.soft: 30m\n').settings['retry.tls.soft'], 1_800_000)
  })

  test('an empty file and empty sections are no settings', () => {
    assert.deepEqual(good('').settings.hostname, 'letterlock.localhost')
    assert.deepEqual(good('smtp:\nportal: {}\n').settings['smtp.maxRecipients'], 1000)
  })

  test('what Kubernetes adds for a service called letterlock is left alone', () => {
    assert.equal(
      good('', { LETTERLOCK_SERVICE_HOST: '10.0.0.1', LETTERLOCK_PORT: 'tcp://10.0.0.1:25' }).settings.hostname,
      'letterlock.localhost',
    )
  })
})

describe('values', () => {
  test('relative paths start from the folder of the file', () => {
    mkdirSync(join(folder, 'etc'))
    const file = join(folder, 'etc', 'letterlock.yaml')
    writeFileSync(file, 'data: ../var\npolicy:\n  file: policy.yaml\nblobs: file:./blobs\n')
    const loaded = loadSettings({ file, env: {} })
    if (loaded.kind === 'bad') assert.fail()
    assert.equal(loaded.settings.data, join(folder, 'var'))
    assert.equal(loaded.settings['policy.file'], join(folder, 'etc', 'policy.yaml'))
    assert.equal(pathOf(loaded.settings.blobs), join(folder, 'etc', 'blobs'))
    assert.equal(pathOf(loaded.settings.database), join(folder, 'var', 'letterlock.db'))
  })

  test('addresses to listen on are host:port, IPv6 in brackets', () => {
    const { settings } = good('smtp:\n  listen: ["[::1]:2525", localhost:25]\n')
    assert.deepEqual(settings['smtp.listen'], [
      { host: '::1', port: 2525 },
      { host: 'localhost', port: 25 },
    ])
    for (const wrong of ['::1:2525', '127.0.0.1', '127.0.0.1:65536', '[127.0.0.1]:25', ':25'])
      assert.match(bad(`smtp:\n  listen: ["${wrong}"]\n`)[0] ?? '', /^FILE:2:3: smtp\.listen must be host:port/)
  })

  test('durations become milliseconds and sizes bytes', () => {
    const { settings } = good('retry:\n  lifetime: 1d12h\n  delayNotice: 30s\n  code: [1s, 2m]\nsmtp:\n  maxMessageSize: 1GiB\n')
    assert.equal(settings['retry.lifetime'], 36 * 3_600_000)
    assert.equal(settings['retry.delayNotice'], 30_000)
    assert.deepEqual(settings['retry.code'], [1000, 120_000])
    assert.equal(settings['smtp.maxMessageSize'], 1_073_741_824)
    assert.match(bad('retry: { lifetime: 5 }\n')[0] ?? '', /must be a duration such as 30s, 5m, 1h or 30d, not '5'/)
    assert.match(bad('smtp: { maxMessageSize: 50mib }\n')[0] ?? '', /must be a size/)
  })

  test('lists in the environment are parted by commas and maps are JSON', () => {
    const { settings } = good('', {
      LETTERLOCK_ORGANISATION_DOMAINS: 'Org.Example, bücher.example',
      LETTERLOCK_DELIVERY_ROUTES:
        '{"*": {"host": "smart.example", "port": 587, "tls": "verified"}, "org.example": {"host": "[::1]", "tls": "none"}}',
    })
    assert.deepEqual(settings['organisation.domains'], ['org.example', 'xn--bcher-kva.example'])
    assert.deepEqual(settings['delivery.routes'], {
      '*': { host: 'smart.example', port: 587, tls: 'verified' },
      'org.example': { host: '::1', port: 25, tls: 'none' },
    })
  })

  test('a listener is switched off by an empty list or a dash', () => {
    assert.deepEqual(good('smtp: { listen: [] }\n').settings['smtp.listen'], [])
    assert.deepEqual(good('', { LETTERLOCK_SMTP_LISTEN: '-' }).settings['smtp.listen'], [])
    assert.deepEqual(good('dns: { servers: system }\n').settings['dns.servers'], [])
  })

  test('a route says what is wrong with it', () => {
    assert.match(
      bad('delivery: { routes: { org.example: { host: a.example, prot: 25 } } }\n')[0] ?? '',
      /for 'org\.example' has 'prot'; known are host, port and tls/,
    )
    assert.match(bad('delivery: { routes: { org.example: { port: 25 } } }\n')[0] ?? '', /for 'org\.example' needs a host/)
    assert.match(
      bad('delivery: { routes: { org.example: { host: a.example, tls: maybe } } }\n')[0] ?? '',
      /needs tls: none, encrypted or verified/,
    )
  })

  test('addresses that follow from others are derived unless they are set', () => {
    assert.equal(good('organisation: { domains: [a.example, b.example] }\n').settings['notice.from'], 'letters@a.example')
    assert.equal(good('hostname: gate.example\n').settings['notice.from'], 'letters@gate.example')
    assert.equal(good('portal: { listen: "127.0.0.1:9000" }\n').settings['portal.url'], 'http://localhost:9000')
    assert.equal(good('notice: { from: post@c.example }\n').settings['notice.from'], 'post@c.example')
  })
})

describe('mistakes', () => {
  test('an unknown key is named with line, column and the nearest key', () => {
    assert.deepEqual(bad('hostname: a.example\nsmtp:\n  max_message_sise: 5MiB\n'), [
      'FILE:3:3: smtp.max_message_sise is not a setting; did you mean smtp.maxMessageSize?',
    ])
    assert.deepEqual(bad('', { LETTERLOCK_SMTP_LISTN: 'x' }), [
      'LETTERLOCK_SMTP_LISTN is not a setting; did you mean LETTERLOCK_SMTP_LISTEN?',
    ])
    assert.deepEqual(bad('zebra: 1\n'), ['FILE:1:1: zebra is not a setting'])
  })

  test('several mistakes are all told at once', () => {
    assert.equal(bad('hostnam: a\ndelivery: { port: many, ipv6: perhaps }\n').length, 3)
  })

  test('a section with a value, a key set twice and broken YAML are told with their line', () => {
    assert.deepEqual(bad('\nsmtp: 25\n'), ['FILE:2:1: smtp is a section, not a setting; smtp.listen is one of its settings'])
    assert.deepEqual(bad('smtp.maxRecipients: 1\nsmtp:\n  maxRecipients: 2\n'), ['FILE:3:3: smtp.maxRecipients is set twice'])
    assert.match(bad('hostname: a\nhostname: b\n')[0] ?? '', /^FILE:2:1: is not valid YAML: Map keys must be unique/)
    assert.match(bad('- hostname\n')[0] ?? '', /^FILE:1:1: must be a map of settings/)
  })

  test('what this version lacks is refused, its default accepted', () => {
    assert.deepEqual(bad('roles: [portal]\n'), ['FILE:1:1: roles is not available in this version; only its default (all) is accepted'])
    assert.deepEqual(bad('notice: { senderLink: at-once }\n'), ['FILE:1:11: notice.senderLink at-once is not available in this version'])
    assert.equal(good('escrow: { proof: link }\n').settings['escrow.proof'], 'link')
    assert.equal(good('roles: all\nescrow: { proof: code }\nnotice: { senderLink: digest }\n').settings['escrow.proof'], 'code')
  })

  test('a PostgreSQL is taken, and an address that is none is not quoted', () => {
    const address = 'postgres://user:hunter2@db/x'
    assert.equal(good('', { LETTERLOCK_DATABASE: address }).settings.database, address)
    const [problem = ''] = bad('', { LETTERLOCK_DATABASE: 'postgres://user:hun/ter2@db/x' })
    assert.match(problem, /^LETTERLOCK_DATABASE: database is no address/)
    assert.doesNotMatch(problem, /ter2/)
  })

  test('a write waits for PostgreSQL for a shorter time than a claim holds', () => {
    const address = { LETTERLOCK_DATABASE: 'postgres://user@db/x' }
    assert.deepEqual(bad('limits: { claim: 20s }\n', address), ['limits.databasePatience must be at most half of limits.claim'])
    assert.equal(good('limits: { claim: 20s, databasePatience: 10s }\n', address).settings['limits.claim'], 20_000)
    assert.equal(good('limits: { claim: 20s }\n').settings['limits.claim'], 20_000)
  })

  test('a secret that cannot be read is not quoted', () => {
    assert.deepEqual(bad('', { LETTERLOCK_DATABASE: 'hunter2' }), ['LETTERLOCK_DATABASE: database cannot be understood'])
  })

  test('the portal needs https unless it is on this machine', () => {
    assert.match(
      bad('portal:\n  url: http://letters.example\n')[0] ?? '',
      /^FILE:2:3: portal\.url must be https because letters\.example is not this machine/,
    )
    assert.equal(good('portal: { url: "https://letters.example/" }\n').settings['portal.url'], 'https://letters.example')
    assert.equal(good('portal: { url: "http://post.localhost:8080" }\n').settings['portal.url'], 'http://post.localhost:8080')
    assert.match(bad('portal: { url: "https://letters.example/path" }\n')[0] ?? '', /must be a URL without a path/)
    assert.match(bad('portal: { formerUrls: ["http://old.example"] }\n')[0] ?? '', /portal\.formerUrls must be https/)
  })

  test('a portal whose links would be longer than 76 characters is refused', () => {
    const host = (length: number): string => `${'a'.repeat(length - 'https://.example'.length)}.example`
    assert.equal(good(`portal: { url: "https://${host(41)}" }\n`).settings['portal.url'].length, 41)
    assert.match(bad(`portal: { url: "https://${host(42)}" }\n`)[0] ?? '', /makes links of 77 characters/)
  })

  test('a route without TLS is accepted only for own domains and hosts on this machine', () => {
    assert.match(
      bad('delivery: { routes: { "*": { host: smart.example, tls: none } } }\n')[0] ?? '',
      /^FILE:1:13: delivery\.routes for '\*' has tls: none/,
    )
    const text =
      'organisation: { domains: [org.example] }\ndelivery: { routes: { org.example: { host: 10.0.0.5, tls: none }, x.example: { host: 127.0.0.1, tls: none } } }\n'
    assert.equal(good(text).settings['delivery.routes']['x.example']?.tls, 'none')
  })

  test('half a certificate, an empty schedule and a letter of a year and a day are refused', () => {
    assert.deepEqual(bad('smtp: { tls: { cert: a.pem } }\n'), ['smtp.tls.key is missing: smtp.tls.cert and smtp.tls.key belong together'])
    assert.match(bad('retry: { schedule: [] }\n')[0] ?? '', /retry\.schedule needs at least one pause/)
    assert.match(bad('escrow: { expires: 366d }\n')[0] ?? '', /escrow\.expires must be between 1h and 365d/)
  })
})

describe('what people are shown', () => {
  test('docs/settings.md is what `npm run docs` would write now', () => {
    assert.ok(
      readFileSync(join(packageRoot, 'docs', 'settings.md'), 'utf8') === settingsMarkdown(),
      'docs/settings.md is stale: run `npm run docs`',
    )
  })

  test('settings print shows each value as it was written, with its source', () => {
    const { sources, file } = good('retry: { lifetime: 2d }\norganisation: { domains: [a.example] }\n', {
      LETTERLOCK_DATABASE: 'sqlite:/x.db',
    })
    const row = (key: string): unknown => settingsInForce(sources).find((one) => one.key === key)
    assert.deepEqual(row('retry.lifetime'), { key: 'retry.lifetime', value: '2d', source: `${file}:1` })
    assert.deepEqual(row('organisation.domains'), { key: 'organisation.domains', value: '["a.example"]', source: `${file}:2` })
    assert.deepEqual(row('notice.from'), { key: 'notice.from', value: 'letters@a.example', source: 'default' })
    assert.deepEqual(row('retry.delayNotice'), { key: 'retry.delayNotice', value: '1h', source: 'default' })
  })

  test('printed settings stand in columns, and bad ones say why', () => {
    const printed = printedSettings(written('hostname: gate.example\n'), {})
    assert.match(printed.text, /^hostname +gate\.example +.*yaml:1$/m)
    assert.match(printed.text, /^smtp\.implicitTlsListen +– +default$/m)
    const refused = printedSettings(written('hostnam: x\n'), {})
    assert.equal(refused.kind, 'bad')
    assert.match(refused.text, /hostnam is not a setting; did you mean hostname\?/)
  })

  test('a password in a location is masked', () => {
    const sources = { ...good('').sources, database: { from: 'LETTERLOCK_DATABASE', text: 'postgres://user:hunter2@db/x' } }
    const shown = (of: typeof sources) => settingsInForce(of).find((one) => one.key === 'database')?.value
    assert.equal(shown(sources), 'postgres://•••@db/x')
    const odd = { from: 'LETTERLOCK_DATABASE', text: 'postgres://user:hun/t@r2@db/x' }
    assert.equal(shown({ ...sources, database: odd }), 'postgres://•••@db/x')
  })
})

test('overrides of the defaults carry over to what is derived from them', () => {
  const settings = defaultSettings({ data: '/d', 'organisation.domains': ['o.example'] })
  assert.equal(settings.database, 'sqlite:/d/letterlock.db')
  assert.equal(settings['notice.from'], 'letters@o.example')
  assert.equal(defaultSettings({ data: '/d', keys: 'file:/k' }).keys, 'file:/k')
})
