/** What each refusal means in words, and what would undo it. */
import type { Reason } from '../mail/outcome.ts'
import type { StepResult } from '../mail/plan.ts'

/** What would have to change for this step to serve, for a person to do or to ask for; undefined when nobody can. */
export function remedy(step: StepResult, address: string, domain: string): string | undefined {
  const host = hostOf(step) ?? `the mail host of ${domain}`
  switch (step.reason) {
    case 'starttls-not-supported':
      return `${domain} offers STARTTLS`
    case 'certificate-expired':
      return `${domain} renews its certificate`
    case 'certificate-not-trusted':
      return `${domain} uses a certificate of a trusted authority, with its whole chain (or tls.ca names its authority)`
    case 'certificate-host-mismatch':
      return `the certificate of ${host} names that host`
    case 'validation-failure':
      return `${host} completes a handshake with TLS 1.2 or newer`
    case 'assurance-too-low':
      return `${domain} proves its mail host as the rule asks (DANE, or MTA-STS enforce), or the rule asks for less`
    case 'tlsa-invalid':
    case 'dnssec-invalid':
    case 'sts-policy-fetch-error':
    case 'sts-policy-invalid':
    case 'sts-webpki-invalid':
      return `${domain} repairs what it publishes (${step.reason})`
    case 'downgrade-suspected':
      return `${domain} offers verified TLS again, as it did before`
    case 'eightbit-unsupported':
      return `${host} offers 8BITMIME`
    case 'smtputf8-unsupported':
      return `${host} offers SMTPUTF8`
    case 'message-too-large':
      return 'the message is smaller'
    case 'no-key':
      return step.method === 'pgp' ? `a PGP key for ${address} is imported (letterlock keys pgp import FILE)` : undefined
    case 'key-unusable':
      return step.method === 'pgp' ? `a usable PGP key for ${address} is imported (letterlock keys pgp import FILE)` : undefined
    case 'dns-temporary':
    case 'mx-unresolvable':
      return `the DNS of ${domain} answers again`
    case 'unreachable':
    case 'connection-lost':
    case 'remote-temporary':
    case 'remote-refused':
      return `${host} accepts mail again`
    case 'recipient-deferred':
      return `${host} accepts mail for ${address} again`
    case 'local-fault':
      return 'the fault on this gateway is repaired (see its log)'
    default:
      return undefined
  }
}

/** A refusal as a clause that follows "because": `its TLS was refused (certificate expired)`. */
export function refusal(step: StepResult, domain: string): string {
  if (step.reason === 'starttls-not-supported') return `${domain} offers no TLS`
  if (step.reason === 'no-key') return 'no PGP key is known'
  if (step.reason === 'no-certificate') return 'no S/MIME certificate is known'
  if (step.reason === 'key-unusable') return 'the known PGP key cannot be used'
  if (step.reason === 'already-encrypted') return 'the mail is already encrypted'
  if (step.reason === 'not-available') return `${step.method} is not available in this version`
  const brief = step.reason === null ? undefined : briefly[step.reason]
  if (step.method === 'tls') return `its TLS was refused (${brief ?? step.reason ?? 'no reason given'})`
  return `${step.method} could not serve (${brief ?? step.reason ?? 'no reason given'})`
}

/** A reason for a person, with its code, by which docs/reasons.md is looked up: `certificate expired or not yet valid (certificate-expired)`. */
export function inWords(reason: string): string {
  const brief: string | undefined = Object.entries(briefly).find(([code]) => code === reason)?.[1]
  return brief === undefined ? reason : `${brief} (${reason})`
}

const briefly: { readonly [reason in Reason]: string } = {
  'starttls-not-supported': 'no STARTTLS is offered',
  'certificate-expired': 'certificate expired or not yet valid',
  'certificate-not-trusted': 'certificate not trusted',
  'certificate-host-mismatch': 'certificate for another host',
  'validation-failure': 'its TLS could not be validated',
  'assurance-too-low': 'less proof than the rule asks',
  'tlsa-invalid': 'DANE records unusable',
  'dnssec-invalid': 'DNSSEC bogus',
  'downgrade-suspected': 'downgrade suspected',
  'message-too-large': 'message too large',
  'eightbit-unsupported': 'no 8BITMIME',
  'smtputf8-unsupported': 'no SMTPUTF8',
  'not-encryptable': 'the message cannot be encrypted so',
  unreachable: 'not reachable',
  'domain-not-found': 'there is no such domain',
  'null-mx': 'the domain takes no mail',
  'dns-temporary': 'DNS does not answer',
  'connection-lost': 'the connection broke off',
  'remote-temporary': 'the server takes no mail at this moment',
  'remote-refused': 'the server refuses mail',
  'sts-policy-fetch-error': 'its MTA-STS policy could not be fetched',
  'sts-policy-invalid': 'its MTA-STS policy cannot be read',
  'sts-webpki-invalid': 'the certificate of its MTA-STS host is not trusted',
  'mx-unresolvable': 'no address of its mail hosts was found',
  'mail-loop': 'the way leads back here',
  'address-not-allowed': 'its hosts have only private addresses',
  'recipient-refused': 'the server refuses the recipient',
  'recipient-deferred': 'the server does not take the recipient at this moment',
  'content-refused': 'the server refuses the content',
  'in-doubt': 'the server broke off before it answered',
  'local-fault': 'a fault on our side',
  'no-key': 'no PGP key is known',
  'key-unusable': 'the known PGP key cannot be used',
  'no-certificate': 'no S/MIME certificate is known',
  'already-encrypted': 'the mail is already encrypted',
  'not-available': 'not available in this version',
  'rule-says-bounce': 'the rule returns it',
  'held-by-rule': 'a person decides first',
  'returned-by-operator': 'returned by an operator',
  'notice-undeliverable': 'the notice of the letter cannot be delivered',
  'expired-in-queue': 'waited too long',
  'content-damaged': 'the stored content is damaged',
  restored: 'restored from a backup',
  'attempt-crashed': 'the attempt broke off',
}

function hostOf({ evidence }: StepResult): string | undefined {
  const { host } = evidence
  return typeof host === 'string' && host !== '' ? host : undefined
}
