/** The demo's internet on loopback: a DNS zone, one mail server per person, and the hospital's own. */
import { CommandError } from '../ops/errors.ts'
import { type Authority, createAuthority, type Leaf, selfSigned } from './authority.ts'
import { type FakeDns, type FakeName, startFakeDns } from './fake-dns.ts'
import { type Manner, type Partner, type PartnerMail, startPartner } from './partner.ts'
import { domainOfPerson, type Manners, organisation, type Person, people } from './people.ts'
import { freePort, isMissingAddress, isTaken } from './ports.ts'

export { freePort } from './ports.ts'

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

/**
 * Start it all, the mail servers on `<network>11` and on; `arrived` hears of every mail.
 * Throws CommandError 69 with a hint where this machine lacks such addresses.
 */
export async function startInternet(arrived: (mail: PartnerMail) => void, network = '127.0.0.'): Promise<Internet> {
  const authority = await createAuthority('Demo Root')
  const sites = await Promise.all(people.map((person, index) => siteOf(person, `${network}${11 + index}`, authority)))
  const served = sites.filter((site) => site !== undefined)
  const { partners, port } = await startPartners(served, arrived)
  let dns: FakeDns | undefined
  try {
    const own = await startPartner({ hostname: `mail.${organisation.domain}` }, { onMail: arrived })
    partners.push(own)
    dns = await startFakeDns(Object.assign({}, ...served.map(zoneOf)))
    const servers = [...partners, dns]
    return { dns: dns.address, port, ca: authority.cert, own, close: () => closeAll(servers) }
  } catch (error) {
    await closeAll(partners)
    throw error
  }
}

type Site = { readonly domain: string; readonly hostname: string; readonly host: string; readonly manner: Manner }

async function siteOf(person: Person, host: string, authority: Authority): Promise<Site | undefined> {
  if (person.server === undefined) return undefined
  const domain = domainOfPerson(person)
  const hostname = `mx.${domain}`
  const tls = await certificate(person.server, hostname, authority)
  return { domain, hostname, host, manner: { hostname, ...(tls && { tls }) } }
}

const zoneOf = ({ domain, hostname, host }: Site): { readonly [name: string]: FakeName } => ({
  [domain]: { records: [{ type: 'MX', data: { preference: 10, exchange: hostname } }] },
  [hostname]: { records: [{ type: 'A', data: host }] },
})

async function certificate(manners: Manners, hostname: string, authority: Authority): Promise<Leaf | undefined> {
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

const mostTries = 20

/** All on one port, as the whole world shares port 25; drawn again when another demo has it on one of the addresses. */
async function startPartners(sites: readonly Site[], arrived: (mail: PartnerMail) => void): Promise<{ partners: Partner[]; port: number }> {
  for (let tries = 1; ; tries++) {
    const partners: Partner[] = []
    const port = await freePort('127.0.0.1')
    try {
      for (const { manner, host } of sites) partners.push(await startPartner(manner, { host, port, onMail: arrived }))
      return { partners, port }
    } catch (error) {
      await closeAll(partners)
      if (isMissingAddress(error)) throw new CommandError('unavailable', missingAddresses(sites))
      if (!isTaken(error) || tries === mostTries) throw error
    }
  }
}

/** Linux and Windows have all of 127.0.0.0/8; macOS and the BSDs only 127.0.0.1. */
const missingAddresses = (
  sites: readonly Site[],
): string => `the demo gives each mail server a loopback address of its own, and this machine lacks some of them. Add them until the next restart, then run it again:
${sites.map(({ host }) => `  sudo ifconfig lo0 alias ${host}`).join('\n')}`

async function closeAll(servers: readonly { readonly close: () => Promise<void> }[]): Promise<void> {
  await Promise.all(servers.map((server) => server.close()))
}
