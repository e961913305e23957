/** The STARTTLS boundary under attack at every octet: nothing in clear, and always an answer. `LONG_TESTS=1` tries every kind at every octet. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Interference, outsideTls } from '../../world/chaos.ts'
import { selfSigned } from '../../world/index.ts'
import { type Attempt, type Lines, leakOf, openLines } from './line.ts'
import { elsewhere, type Lengths, placed, seeded, strip } from './plan.ts'

const long = process.env.LONG_TESTS === '1'
const day = 86_400_000

let newer: Lines
let older: Lines
before(async () => {
  newer = await openLines(128, 'TLSv1.3')
  older = await openLines(128, 'TLSv1.2')
})
after(async () => {
  await newer?.close()
  await older?.close()
})

const sum = (buffers: readonly Buffer[]) => buffers.reduce((total, { length }) => total + length, 0)
const told = ({ interference, outcome }: Attempt) => `${JSON.stringify(interference)} → ${outcome.kind}: ${outcome.text}`

/** The octets of an undisturbed delivery. */
async function measure(lines: Lines): Promise<Lengths> {
  const attempt = await lines.attempt({ kind: 'none' })
  assert.equal(attempt.outcome.kind, 'delivered', attempt.outcome.text)
  assert.equal(attempt.arrived, 1)
  const [tap] = attempt.taps
  assert.ok(tap)
  const back = Buffer.concat(tap.back)
  const clear = { out: outsideTls(Buffer.concat(tap.out)).length, back: back.indexOf('go ahead\r\n') + 10 }
  return { out: { clear: clear.out, all: sum(tap.out) }, back: { clear: clear.back, all: back.length } }
}

/** All attempts; those that wait for a deadline side by side on many lines, the others on few. */
async function assail(lines: Lines, plans: readonly Interference[], seen: (attempt: Attempt) => void): Promise<void> {
  const slow = plans.filter(({ kind }) => kind === 'stall' || kind === 'half-close')
  const fast = plans.filter((plan) => !slow.includes(plan))
  const few = 12
  const work = async (queue: Interference[], line: number) => {
    for (let plan = queue.pop(); plan; plan = queue.pop()) seen(await lines.attempt(plan, undefined, line))
  }
  const queue = [...fast]
  await Promise.all(Array.from({ length: few }, (_, line) => work(queue, line)))
  const waiting = [...slow]
  await Promise.all(Array.from({ length: lines.count }, (_, line) => work(waiting, line)))
}

/** What must hold of each attempt. */
function faultOf(attempt: Attempt): string | undefined {
  const { outcome, arrived } = attempt
  const leak = leakOf(attempt)
  if (leak !== undefined) return `in clear: ${leak}`
  switch (outcome.kind) {
    case 'threw':
    case 'hung':
      return outcome.kind
    case 'failed':
      return 'somebody on the line can make a message bounce'
    case 'delivered':
      return arrived === 1 && outcome.assurance === 'verified' ? undefined : `${outcome.assurance}, arrived ${arrived} times`
    case 'deferred':
    case 'unsuitable':
      return arrived === 0 || (arrived === 1 && outcome.reason === 'in-doubt') ? undefined : `arrived ${arrived} times all the same`
  }
}

const rounds = [
  ['TLS 1.3', () => newer, long ? { clear: 0, tls: 0 } : { clear: 0, tls: 3 }],
  ['TLS 1.2', () => older, long ? { clear: 0, tls: 1 } : { clear: 2, tls: 6 }],
] as const
for (const [version, lines, density] of rounds) {
  test(`${version}: whatever is done to whichever octet, no envelope and no content is in clear, and every attempt ends`, async (t) => {
    const random = seeded(version === 'TLS 1.3' ? 20_260_713 : 20_260_714)
    const lengths = await measure(lines())
    const plans = [...elsewhere, ...placed(lengths, density, random)]
    const tally = new Map<string, number>()
    const count = (what: string) => tally.set(what, (tally.get(what) ?? 0) + 1)
    const failures: string[] = []
    let slowest = 0
    await assail(lines(), plans, (attempt) => {
      count('all')
      count('reason' in attempt.outcome ? `${attempt.outcome.kind} ${attempt.outcome.reason}` : attempt.outcome.kind)
      if (attempt.interference.kind === 'delay' && attempt.outcome.kind === 'delivered') count('late, but delivered')
      const fault = faultOf(attempt)
      if (fault !== undefined) failures.push(`${fault}: ${told(attempt)}`)
      slowest = Math.max(slowest, attempt.ms)
    })
    t.diagnostic(`${JSON.stringify(lengths)} ${JSON.stringify(Object.fromEntries([...tally].sort()))}, the slowest in ${slowest} ms`)
    assert.deepEqual(failures.slice(0, 20), [], `${failures.length} of ${plans.length}`)
    assert.equal(tally.get('all'), plans.length)
    // A mere delay stops nothing; on a loaded machine some may run into a deadline.
    const delays = plans.filter(({ kind }) => kind === 'delay').length
    assert.ok((tally.get('late, but delivered') ?? 0) > delays / 2, `${tally.get('late, but delivered')} of ${delays}`)
  })
}

// CVE-2011-0411: what comes along with the 220 was put there in clear. What comes later meets the handshake.
test('octets put between the 220 and the handshake end the attempt, in the same packet or the next', async () => {
  const { back } = await measure(newer)
  for (const text of ['250 ok\r\n', '250-STARTTLS\r\n250 AUTH\r\n', '\n', '\0', 'x']) {
    const bytes = Buffer.from(text)
    const ways: Interference[] = [
      { kind: 'rewrite', direction: 'back', find: /^220 2\.0\.0 go ahead\r\n/, by: `220 2.0.0 go ahead\r\n${text}` },
      { kind: 'inject', direction: 'back', at: back.clear, bytes, apart: false },
      { kind: 'inject', direction: 'back', at: back.clear, bytes, apart: true },
    ]
    for (const way of ways) {
      const attempt = await newer.attempt(way)
      assert.equal(faultOf(attempt), undefined, told(attempt))
      assert.equal('reason' in attempt.outcome && attempt.outcome.reason, 'validation-failure', told(attempt))
    }
  }
})

test('an impostor with any other certificate reads nothing but a goodbye', async () => {
  const { authority } = newer
  const leaves = [
    await selfSigned(['mx0.chaos.example']),
    await authority.issue(['mx.evil.example']),
    await authority.issue(['chaos.example']),
    await authority.issue(['mx0.chaos.example'], { notBefore: new Date(Date.now() - 9 * day), notAfter: new Date(Date.now() - day) }),
    await authority.issue(['mx0.chaos.example'], { san: false }),
  ]
  for (const leaf of leaves) {
    const attempt = await newer.attempt({ kind: 'impostor', leaf })
    assert.equal(faultOf(attempt), undefined, told(attempt))
    assert.notEqual(attempt.outcome.kind, 'delivered', told(attempt))
    // The goodbye may still be on its way when the attempt has ended.
    assert.ok(sum(attempt.taps[0]?.read ?? []) <= 'QUIT\r\n'.length, told(attempt))
  }
})

test('the taps do see what is sent in clear, or to an impostor, when that is allowed', async () => {
  const clear = await newer.attempt(strip, { kind: 'opportunistic' })
  assert.equal(clear.outcome.kind, 'delivered', clear.outcome.text)
  assert.match(Buffer.concat(clear.taps[0]?.out ?? []).toString(), /MAIL FROM:<sender@org\.example>[\s\S]*Kanarienvogel/)
  assert.match(leakOf(clear) ?? '', /MAIL FROM/)

  const posed = await newer.attempt(
    { kind: 'impostor', leaf: await selfSigned(['mx0.chaos.example']) },
    { kind: 'forced', level: 'encrypted' },
  )
  assert.equal(posed.outcome.kind, 'delivered', posed.outcome.text)
  assert.match(Buffer.concat(posed.taps[0]?.read ?? []).toString(), /MAIL FROM[\s\S]*Kanarienvogel/)
  assert.match(leakOf(posed) ?? '', /MAIL FROM/)
})
