/** Who may hand in which mail: pure decisions over the client's address, its channel and its sender. Never an open relay. */
import ipaddr from 'ipaddr.js'
import { domainOf, matchesDomain } from '../mail/address.ts'
import type { Settings } from '../ops/settings.ts'
import { type Reply, reply } from './reply.ts'

export type Client = {
  readonly address: string
  /** On the machine that we run on. */
  readonly loopback: boolean
  /** In smtp.relay.networks: needs no AUTH. */
  readonly trusted: boolean
  /** In smtp.relay.plaintextNetworks: needs no TLS. */
  readonly plaintext: boolean
}

export type RelayRules = {
  /** What a client may do for its address alone. An address that cannot be read may do nothing. */
  readonly client: (address: string) => Client
  /** May this session begin a mail transaction at all? */
  readonly refuseSession: (client: Client, session: { readonly secure: boolean; readonly user: string | undefined }) => Reply | undefined
  /** Is this sender one of ours? `sender` is canonical and not the null reverse-path. */
  readonly refuseSender: (client: Client, sender: string) => Reply | undefined
}

/** The rules that these settings make. Throws when a network in them is none (the settings reader has checked it before). */
export function relayRules(settings: Settings): RelayRules {
  const trusted = settings['smtp.relay.networks'].map(readNetwork)
  const plaintext = settings['smtp.relay.plaintextNetworks'].map(readNetwork)
  const domains = settings['organisation.domains']
  return {
    client: (address) => {
      const parsed = ipaddr.isValid(address) ? ipaddr.process(address) : undefined
      const within = (networks: readonly Network[]) => parsed !== undefined && networks.some((network) => contains(network, parsed))
      return { address, loopback: parsed?.range() === 'loopback', trusted: within(trusted), plaintext: within(plaintext) }
    },
    refuseSession: (client, { secure, user }) => {
      // RFC 3207 §4: this wording is what clients look for.
      if (!secure && !client.plaintext) return reply(530, '5.7.0', 'Must issue a STARTTLS command first')
      if (client.trusted || user !== undefined) {
        if (domains.length > 0 || client.loopback) return undefined
        return reply(550, '5.7.1', 'This gateway serves its own machine only until organisation.domains is set in its settings')
      }
      if (!secure) return reply(530, '5.7.0', 'Must issue a STARTTLS command first, then AUTH: your address is not in smtp.relay.networks')
      return reply(530, '5.7.0', 'Authentication required: sign in with AUTH, or ask for your address to be added to smtp.relay.networks')
    },
    refuseSender: (client, sender) => {
      if (domains.length === 0 && client.loopback) return undefined
      const domain = domainOf(sender)
      if (domains.some((own) => matchesDomain(own, domain))) return undefined
      return reply(
        550,
        '5.7.1',
        `Sender domain ${domain} is not one of organisation.domains: forwarded or foreign mail is not relayed; send it from your own domain`,
      )
    },
  }
}

type Address = ipaddr.IPv4 | ipaddr.IPv6
type Network = readonly [Address, number]

function readNetwork(text: string): Network {
  if (text.includes('/')) return ipaddr.parseCIDR(text)
  const address = ipaddr.parse(text)
  return [address, address.kind() === 'ipv4' ? 32 : 128]
}

function contains([base, bits]: Network, address: Address): boolean {
  if (base instanceof ipaddr.IPv4) return address instanceof ipaddr.IPv4 && address.match(base, bits)
  return address instanceof ipaddr.IPv6 && address.match(base, bits)
}
