/** What policy tests foretell of a world is what delivery does in it: the same ladders, walked by real mail to real hosts. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { RecipientTrace } from '../../src/delivery/trace.ts'
import { foretell } from '../../src/routing/foretell.ts'
import type { TlsWorld } from '../../src/routing/policy.ts'
import { sideOf } from '../../src/routing/worlds.ts'
import { sql } from '../../src/store/db.ts'
import { policyOf } from '../routing/world.ts'
import { type Domain, startWorld, type World } from './world.ts'

const open = '{ opportunistic: { i-understand: may travel unencrypted } }'
const ladders = {
  plain: '[tls, escrow]',
  forced: '[tls]',
  weak: '[{ tls: { level: encrypted } }, escrow]',
  strict: '[{ tls: { level: authenticated } }, escrow]',
  link: '[tls, { escrow: { proof: link } }]',
  factor: '[tls, { escrow: { proof: second-factor } }]',
  clearpath: '[tls, { escrow: { on-clear-path: second-factor } }]',
  holding: '[tls, { escrow: { on-downgrade: hold } }]',
  open: `[${open}]`,
  mixed: `[tls, pgp, smime, ${open}]`,
  held: '[{ hold: { approvers: head@org.example } }, tls]',
  later: '[tls, hold]',
  back: '[pgp, bounce]',
}
const text = `version: 1\nrules:\n${Object.entries(ladders)
  .map(([name, deliver]) => `  - { name: ${name}, when: { subject-tag: ${name} }, deliver: ${deliver} }\n`)
  .join('')}`

const broken = (verb: string) => (verb === 'STARTTLS' ? ({ send: '220 2.0.0 go\r\n', then: 'close' } as const) : undefined)
/** Worlds of DNSSEC and MTA-STS need more than these hosts have; `encrypted` is `untrusted` by another name. */
const hosts: { readonly [word in TlsWorld]?: Domain } = {
  none: { certificate: 'none' },
  broken: { manner: { script: broken } },
  untrusted: { certificate: 'self-signed' },
  'wrong-name': { certificate: 'wrong-name' },
  expired: { certificate: 'expired' },
  verified: {},
  downgraded: { certificate: 'none' },
  unreachable: { manner: { script: (verb) => (verb === 'CONNECT' ? { then: 'reset' } : undefined) } },
}
const words = Object.keys(hosts) as TlsWorld[]

let world: World
before(async () => {
  world = await startWorld(Object.fromEntries(words.map((word) => [`${word}.example`, hosts[word] ?? {}])), {
    'retry.tls.soft': 300,
    'retry.tls.ratchet': 600,
    'retry.schedule': [100, 200, 400],
    // Beyond it what may only go by TLS, and meets none that works, goes back.
    'retry.lifetime': 4000,
  })
  await world.db.write(sql`INSERT INTO posture (domain, verified_at, assurance, identity, host)
    VALUES ('downgraded.example', ${Date.now() - 86_400_000}, 'verified', 'webpki', 'mx.downgraded.example')`)
  await world.applyPolicy(text)
})
after(() => world?.close())

/** As policy tests name it. */
function became({ state, method, assurance, proof }: RecipientTrace): string {
  if (state === 'held') return 'held'
  if (state === 'waiting') return 'wait'
  if (state === 'bounced') return 'bounce'
  return [method, assurance === 'none' && method !== 'escrow' ? 'in clear' : '', proof ?? ''].filter((word) => word !== '').join(' ')
}

function foretold(word: TlsWorld, ladder: string): string {
  const steps = policyOf(text).rules.find(({ name }) => name === ladder)?.steps ?? assert.fail()
  const { method, clear, held, proof } = foretell(
    steps,
    sideOf({ tls: word, pgp: false, smime: false }, false, world.settings),
    world.settings,
  )
  return held ? 'held' : [method, clear ? 'in clear' : '', proof ?? ''].filter((part) => part !== '').join(' ')
}

for (const word of words)
  test(`where TLS is ${word}, mail goes as its policy's tests say`, async () => {
    const sent = Object.keys(ladders).map(async (ladder) => {
      const id = await world.send({ from: 'ann@org.example', to: `max@${word}.example`, subject: `[${ladder}] hello`, text: 'hello' })
      const expected = foretold(word, ladder)
      const { recipients } = await world.settled(id, ({ recipients: [one] }) =>
        expected === 'wait' ? (one?.attempts ?? 0) > 1 : one?.state !== 'waiting',
      )
      return [
        [ladder, expected],
        [ladder, became(recipients[0] ?? assert.fail())],
      ] as const
    })
    const results = await Promise.all(sent)
    assert.deepEqual(
      results.map(([, real]) => real.join(': ')),
      results.map(([expected]) => expected.join(': ')),
    )
  })
