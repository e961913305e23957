/** The driver inside the private network: plays DNS and all policy hosts, asks both about each row, and writes down what they say. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { openDatabase } from '../../src/store/open.ts'
import { createResolver } from '../../src/transport/dns.ts'
import { namesMx } from '../../src/transport/mta-sts.ts'
import { createStsCache, type Sts } from '../../src/transport/mta-sts-cache.ts'
import { loadTrust } from '../../src/transport/trust.ts'
import { type Authority, createAuthority, type FakeDns, type FakeName, type Leaf, selfSigned, startFakeDns } from '../world/index.ts'
import { policyText, type StsHost, startStsHost } from '../world/sts-host.ts'
import { startDaemon } from './daemon.ts'
import type { Compared } from './sts-resolver.ts'
import { type Row, rows } from './sts-resolver-table.ts'

const here = '127.0.0.1'
const socketmap = 8461
const day = 86_400_000

/** Each row has a domain of its own: Debian's remembers for a minute. */
const domainOf = (index: number) => `p${index}.example`

function publish(dns: FakeDns, row: Row, domain: string): void {
  const texts = row.texts ?? ['v=STSv1; id=one;']
  const failing: FakeName = { rcode: 'SERVFAIL' }
  const record: FakeName = row.record ? failing : { records: texts.map((data) => ({ type: 'TXT', data })) }
  const address = row.host === 'nobody listens' ? '127.0.0.9' : here
  const host: FakeName = row.host === 'cannot be looked up' ? failing : { records: [{ type: 'A', data: address }] }
  const [recordName, hostName] = row.aliases ? [`sts.${domain}`, `web.${domain}`] : [`_mta-sts.${domain}`, `mta-sts.${domain}`]
  if (row.aliases) {
    dns.set(`_mta-sts.${domain}`, { records: [{ type: 'CNAME', data: recordName }] })
    dns.set(`mta-sts.${domain}`, { records: [{ type: 'CNAME', data: hostName }] })
  }
  if (texts.length > 0) dns.set(recordName, record)
  if (row.host !== 'without address') dns.set(hostName, host)
}

async function certify(authority: Authority, row: Row, domain: string): Promise<Leaf> {
  const name = `mta-sts.${domain}`
  switch (row.certificate) {
    case 'another name':
      return authority.issue([`www.${domain}`])
    case 'self-signed':
      return selfSigned([name])
    case 'expired':
      return authority.issue([name], { notBefore: new Date(Date.now() - 9 * day), notAfter: new Date(Date.now() - day) })
    case 'common name only':
      return authority.issue([name], { san: false })
    case 'wildcard':
      return authority.issue([`*.${domain}`])
    default:
      return authority.issue([name])
  }
}

/** Each domain is answered for as its row says; `seen` gets who asked for which. */
function answerAll(site: StsHost, seen: Set<string>): void {
  const byHost = new Map(rows.map((row, i) => [`mta-sts.${domainOf(i)}`, row]))
  site.answer((request, response) => {
    const host = request.headers.host ?? ''
    seen.add(`${request.headers['user-agent']} ${host}`)
    const answer = byHost.get(host)?.answer ?? policyText('enforce', ['mx.partner.example'])
    if (typeof answer === 'string') response.writeHead(200, { 'Content-Type': 'text/plain' }).end(answer)
    else answer(request, response)
  })
}

/** One question as Postfix asks it (socketmap_table(5)); retried until the daemon listens. */
async function askDebian(zone: string, domain: string): Promise<string> {
  const question = `${zone} ${domain}`
  for (const end = Date.now() + 60_000; ; ) {
    const answer = await exchange(`${question.length}:${question},`)
    if (answer !== undefined) return answer
    if (Date.now() > end) throw new Error(`no answer about ${domain}`)
    await new Promise((next) => setTimeout(next, 50))
  }
}

const exchange = (question: string) =>
  new Promise<string | undefined>((resolve) => {
    let said = ''
    const socket = connect(socketmap, here, () => socket.write(question))
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      const [, length, rest = ''] = /^(\d+):(.*)$/s.exec(said) ?? []
      if (length !== undefined && rest.length > Number(length)) socket.end(() => resolve(rest.slice(0, Number(length))))
    })
    socket.on('error', () => resolve(undefined)).on('close', () => resolve(undefined))
  })

const secure = (names: readonly string[]) => `secure ${names.toSorted().join(':')}`

/** `OK secure match=a:b servername=hostname` or `NOTFOUND `; anything else is told as it is. */
function readDebian(answer: string): string {
  const match = /^OK secure match=(\S+) servername=hostname$/.exec(answer)?.[1]
  if (match !== undefined) return secure(match.toLowerCase().split(':'))
  return answer === 'NOTFOUND ' ? 'not found' : answer
}

function readOurs(sts: Sts, strict: boolean): { readonly verdict: string; readonly names: Compared['names'] } {
  const binds = sts.kind === 'policy' && (sts.policy.mode === 'enforce' || (strict && sts.policy.mode === 'testing'))
  if (!binds) return { verdict: 'not found', names: [] }
  const { policy } = sts
  const candidates = policy.mx.flatMap((name) =>
    name.startsWith('*.') ? [`a${name.slice(1)}`, `a.b${name.slice(1)}`, name.slice(2)] : [name],
  )
  const names = [...candidates, 'mx.stranger.example'].map((name) => [name, namesMx(policy, name)] as const)
  return { verdict: secure(policy.mx.map((name) => name.replace(/^\*/, ''))), names }
}

async function drive(folder: string): Promise<void> {
  const authority = await createAuthority()
  const ca = join(folder, 'ca.pem')
  await writeFile(ca, authority.cert)
  await writeFile(
    join(folder, 'daemon.yml'),
    `host: ${here}\nport: ${socketmap}\ndefault_zone: { timeout: 2 }\nzones: { strict: { strict_testing: true, timeout: 2 } }\n`,
  )
  const dns = await startFakeDns({}, here, 53)
  const site = await startStsHost(await authority.issue(['nobody.example']), { host: here, port: 443 })
  const seen = new Set<string>()
  answerAll(site, seen)
  for (const [i, row] of rows.entries()) {
    publish(dns, row, domainOf(i))
    site.show(`mta-sts.${domainOf(i)}`, await certify(authority, row, domainOf(i)))
  }
  const db = await openDatabase({ data: folder, database: `sqlite:${join(folder, 'x.db')}` })
  const cache = createStsCache({
    settings: { 'delivery.allowPrivateAddresses': true, 'delivery.ipv6': true },
    resolver: createResolver({ servers: [dns.address], clock: Date.now, timeout: 1000 }),
    clock: Date.now,
    trust: () => loadTrust(ca, []),
    deadline: 2000,
    db,
  })
  // OpenSSL's own name for the file of trusted certificates; Python heeds it.
  process.env.SSL_CERT_FILE = ca
  const daemon = await startDaemon('mta-sts-daemon', ['-c', join(folder, 'daemon.yml')], [])
  const compare = async (row: Row, domain: string): Promise<Compared> => {
    const debian = await askDebian(row.strict ? 'strict' : 'postfix', domain)
    const sts = await cache.policyOf(domain, new AbortController().signal)
    const { verdict, names } = readOurs(sts, row.strict ?? false)
    const asked = (agent: string) => seen.has(`${agent} mta-sts.${domain}`)
    return {
      ours: { verdict, asked: asked('Letterlock') },
      theirs: { verdict: readDebian(debian), asked: asked('postfix-mta-sts-resolver') },
      ...(sts.trouble && { reason: sts.trouble.reason }),
      names,
    }
  }
  try {
    const compared: Compared[] = []
    for (const [i, row] of rows.entries()) compared.push(await compare(row, domainOf(i)))
    await writeFile(join(folder, 'compared.json'), JSON.stringify(compared))
  } catch (error) {
    throw new Error(`${error}\n${daemon.log()}`)
  } finally {
    await daemon.stop()
    await Promise.all([site.close(), dns.close(), db.close()])
  }
}

const folder = process.argv[2]
if (folder === undefined || !readFileSync('/etc/resolv.conf', 'utf8').startsWith(`nameserver ${here}\n`))
  throw new Error('this runs only in the network that sts-resolver.ts makes')
await drive(folder)
