/** nodemailer and swaks bring mail to a whole gateway; it goes on over verified TLS. */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { createTransport } from 'nodemailer'
import { systemClock } from '../../src/ops/clock.ts'
import { createUsers } from '../../src/submission/users.ts'
import { startWorld, type World } from '../stories/world.ts'
import { peer } from '../world/peers.ts'
import { delicate, sameOctets, withoutTrace } from './mails.ts'

const password = 'correct horse battery'
let world: World
let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letterlock-clients-'))
  // Nobody is trusted for where they come from.
  world = await startWorld({ 'lab.example': {} }, { 'smtp.relay.networks': [] })
  await createUsers({ db: world.db, clock: systemClock, settings: world.settings }).add('anna', password, 'test')
})
after(async () => {
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

const door = () => world.gateway().smtp[0] ?? assert.fail()
const arrived = async (id: string) => {
  const partner = world.partners['lab.example'] ?? assert.fail()
  const mail = await world.arrival(partner, ({ content }) => content.includes(`<${id}@org.example>`))
  assert.match(mail.tls?.protocol ?? '', /^TLSv1\.[23]$/)
  return mail
}

test('what nodemailer submits with STARTTLS and a password goes on octet by octet', async () => {
  const client = createTransport({
    ...door(),
    requireTLS: true,
    auth: { user: 'anna', pass: password },
    tls: { rejectUnauthorized: false },
  })
  const mail = delicate('by-nodemailer', 'vera@lab.example')
  await client.sendMail({ envelope: { from: 'a@org.example', to: ['vera@lab.example', 'otto@lab.example'] }, raw: mail })
  client.close()
  const { content, recipients } = await arrived('by-nodemailer')
  sameOctets(withoutTrace(content), mail)
  assert.deepEqual(
    recipients.map(({ address }) => address),
    ['vera@lab.example', 'otto@lab.example'],
  )
})

/** swaks is nothing here without TLS, which is a package of its own. */
function swaksWithTls(): { readonly skip: string | false } {
  try {
    execFileSync('perl', ['-MNet::SSLeay', '-e1'], { stdio: 'ignore' })
    return peer('swaks')
  } catch {
    return { skip: process.env.CI === 'true' ? false : 'swaks has no TLS (Debian: apt install swaks libnet-ssleay-perl)' }
  }
}

for (const options of [[], ['--pipeline']])
  test(`what swaks submits${options.join('').replace('--', ', with ')} goes on octet by octet`, swaksWithTls(), async () => {
    const id = `by-swaks${options.join('')}`
    const mail = delicate(id, 'vera@lab.example')
    const file = join(folder, 'mail.eml')
    await writeFile(file, mail)
    const to = ['--server', `${door().host}:${door().port}`, '--from', 'a@org.example', '--to', 'vera@lab.example']
    const auth = ['--tls', '--auth', 'PLAIN', '--auth-user', 'anna', '--auth-password', password]
    const { stdout } = await promisify(execFile)('swaks', [...to, ...auth, ...options, '--data', `@${file}`])
    assert.match(stdout, /=== TLS started[\s\S]*250 2\.0\.0 queued as/)
    // swaks ends its data with an empty line of its own.
    const { content } = await arrived(id)
    sameOctets(withoutTrace(content).subarray(0, mail.length), mail)
    assert.match(withoutTrace(content).subarray(mail.length).toString(), /^(?:\r\n){0,2}$/)
  })
