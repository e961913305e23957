/** The sentences for their postmaster: what exactly would repair what was seen. Pure. */
import { namesMx } from '../transport/mta-sts.ts'
import type { DomainProbe, HostProbe } from '../transport/probe.ts'
import type { Row } from '../transport/trouble.ts'
import { judgeHost } from './levels.ts'

/** One sentence a fault, each once; empty when nothing is to be repaired. */
export function advice(probe: DomainProbe, now: number): string[] {
  const sentences = [...ofDomain(probe), ...probe.hosts.flatMap((host) => ofHost(host, probe, now))]
  return [...new Set(sentences)]
}

function ofDomain({ domain, none, unusable, sts }: DomainProbe): string[] {
  const found = unusable.flatMap(({ host, why, text }) => {
    if (why === 'unresolvable') return [`Publish an address for ${host}, or take it out of the MX records of ${domain}.`]
    if (why === 'not-allowed') return [`Give ${host} a public address: ${text}.`]
    if (why === 'dns-temporary') return [`Repair the DNS of ${host}: ${text}.`]
    if (why === 'dnssec-invalid') return [`Repair the DNSSEC signatures of ${host}: ${text}.`]
    return []
  })
  if ((none?.why === 'dns-temporary' || none?.why === 'dnssec-invalid') && unusable.length === 0)
    found.push(`Repair the DNS of ${domain}: ${none.text}.`)
  if (sts.kind === 'invalid') found.push(`Repair the MTA-STS of ${domain}: ${sts.text}.`)
  return found
}

function ofHost(host: HostProbe, probe: DomainProbe, now: number): string[] {
  const judged = judgeHost(host, { kind: 'forced', level: 'verified' }, probe)
  const found = judged.kind === 'enough' ? [] : [repair(judged.trouble.row, judged.trouble.text, host, probe, now)]
  if (host.tlsa.kind === 'records' && host.tlsa.usable === 0)
    found.push(`Replace the TLSA records of ${host.host}: none can be used for mail (RFC 7672 asks for usage 2 or 3).`)
  return found.concat(soon(host, now))
}

function repair(row: Row, text: string, seen: HostProbe, { domain, sts }: DomainProbe, now: number): string {
  const { host } = seen
  switch (row) {
    case 'expired':
      return late(seen, text, now)
    case 'not-trusted':
      return untrusted(seen, text)
    case 'name-mismatch':
      return seen.names.length === 0
        ? `The certificate of ${host} carries no subjectAltName: issue one for ${host}.`
        : `The certificate names ${listed(seen.names)} only: issue one for ${host}.`
    case 'starttls-not-offered':
      return `Offer STARTTLS on ${host}.`
    case 'starttls-4yz':
    case 'starttls-5yz':
      return `Repair TLS on ${host}: it offers STARTTLS but does not start it (${text}).`
    case 'no-shared-tls':
      return `Enable TLS 1.2 or newer with modern ciphers on ${host}.`
    case 'tls-broken':
      return `Repair TLS on ${host}: ${text}.`
    case 'tlsa-mismatch':
      return `Publish the TLSA record "3 1 1 ${seen.spki ?? '…'}" for ${host}, or install the certificate that the present records mean.`
    case 'dnssec-invalid':
      return `Repair DNSSEC for the TLSA records of ${host}: ${text}.`
    case 'dns-temporary':
      return `Repair the DNS of ${host}: ${text}.`
    case 'mx-not-in-policy': {
      const named = sts.kind === 'policy' && !namesMx(sts.policy, host)
      return named ? `Name ${host} in the MTA-STS policy of ${domain} ("mx: ${host}"), and renew the id of its TXT record.` : `${text}.`
    }
    case 'unreachable':
      return `Let ${host} answer on port 25 (unless it is our own network that lets nothing out there): ${text}.`
    case 'greeting-5yz':
    case 'remote-4yz':
    case 'connection-lost':
      return `Let ${host} accept mail: ${text}.`
    default:
      return `Repair ${host}: ${text}.`
  }
}

/** A date of the certificate itself, or of one above it. */
function late({ host, channel }: HostProbe, text: string, now: number): string {
  const facts = channel?.certificate
  if (!facts) return `Renew the certificate of ${host}: ${text}.`
  if (now > Date.parse(facts.notAfter)) return `Renew the certificate of ${host}, it expired on ${day(facts.notAfter)}.`
  if (now < Date.parse(facts.notBefore))
    return `Install a certificate on ${host} that is valid today: the present one begins on ${day(facts.notBefore)}.`
  return `Renew the chain of ${host}: ${text}.`
}

function untrusted({ host, channel }: HostProbe, text: string): string {
  const facts = channel?.certificate
  if (!facts) return `Install a certificate on ${host}: ${text}.`
  if (/incomplete/.test(text)) return `Send the intermediate certificate of ${issuerOf(facts.issuer)} along with that of ${host}.`
  if (facts.subject === facts.issuer) return `Replace the self-signed certificate of ${host} by one of a public authority.`
  return `Use a certificate of a publicly trusted authority for ${host}: the present one is from ${issuerOf(facts.issuer)}.`
}

const fortnight = 14 * 86_400_000

/** Good today, not much longer. */
function soon({ host, channel }: HostProbe, now: number): string[] {
  const end = Date.parse(channel?.certificate?.notAfter ?? '')
  return end > now && end - now < fortnight ? [`Renew the certificate of ${host} before ${day(new Date(end).toISOString())}.`] : []
}

const day = (iso: string) => iso.slice(0, 10)
const issuerOf = (name: string) => `"${/CN=([^,]+)/.exec(name)?.[1] ?? name}"`
const listed = (names: readonly string[]) => `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`
