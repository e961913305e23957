/** The demo's internet on loopback: a DNS zone, one mail server per person, and the hospital's own. */
import { createServer } from 'node:net'
import { createAuthority, selfSigned } from './authority.ts'
import { type FakeDns, type FakeName, startFakeDns } from './fake-dns.ts'
import { type Partner, type PartnerMail, startPartner } from './partner.ts'
import { domainOfPerson, type Manners, organisation, people } from './people.ts'

export type Internet = {
  /** For `dns.servers`. */
  readonly dns: string
  /** For `delivery.port`: all partners listen on it, each on a loopback address of its own. */
  readonly port: number
  /** PEM of the authority that issued the good certificates, for `tls.ca`. */
  readonly ca: string
  /** Where the hospital's own mail server listens. */
  readonly own: { readonly host: string; readonly port: number }
  readonly close: () => Promise<void>
}

/** Start it all; `arrived` hears of every mail. */
export async function startInternet(arrived: (mail: PartnerMail) => void): Promise<Internet> {
  const authority = await createAuthority('Demo Root')
  const port = await freePort('127.0.0.1')
  const partners: Partner[] = []
  const zone: { [name: string]: FakeName } = {}
  try {
    for (const [index, person] of people.entries()) {
      if (person.server === undefined) continue
      const domain = domainOfPerson(person)
      const [hostname, host] = [`mx.${domain}`, `127.0.0.${11 + index}`]
      const tls = await certificate(person.server, hostname, authority)
      partners.push(await startPartner({ hostname, ...(tls && { tls }) }, { host, port, onMail: arrived }))
      zone[domain] = { records: [{ type: 'MX', data: { preference: 10, exchange: hostname } }] }
      zone[hostname] = { records: [{ type: 'A', data: host }] }
    }
    const own = await startPartner({ hostname: `mail.${organisation.domain}` }, { onMail: arrived })
    partners.push(own)
    const dns = await startFakeDns(zone)
    return { dns: dns.address, port, ca: authority.cert, own, close: () => closeAll(partners, dns) }
  } catch (error) {
    await closeAll(partners)
    throw error
  }
}

async function closeAll(partners: readonly Partner[], dns?: FakeDns): Promise<void> {
  await Promise.all([...partners.map((partner) => partner.close()), dns?.close()])
}

function certificate(manners: Manners, hostname: string, authority: Awaited<ReturnType<typeof createAuthority>>) {
  const day = 86_400_000
  switch (manners) {
    case 'none':
      return undefined
    case 'verified':
      return authority.issue([hostname])
    case 'self-signed':
      return selfSigned([hostname])
    case 'expired':
      return authority.issue([hostname], { notBefore: new Date(Date.now() - 100 * day), notAfter: new Date(Date.now() - 9 * day) })
  }
}

/** A port that nobody listens on now. */
export async function freePort(host: string, wanted = 0): Promise<number> {
  const server = createServer()
  const port = await new Promise<number | undefined>((resolve) => {
    server.once('error', () => resolve(undefined))
    server.listen(wanted, host, () => resolve((server.address() as { port: number }).port))
  })
  await new Promise((closed) => server.close(closed))
  return port ?? freePort(host)
}
