/** A tiny certificate authority for the demo and the tests: real certificates, good and bad, from a root that nobody else trusts. */
import 'reflect-metadata'
import { randomBytes } from 'node:crypto'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

/** PEM texts as node:tls takes them; `cert` is the chain as sent: the leaf first, then what its issuer says to send along. */
export type Leaf = { readonly cert: string; readonly key: string }

export type LeafOptions = {
  readonly notBefore?: Date
  readonly notAfter?: Date
  /** Common name; default: the first name. */
  readonly commonName?: string
  /** False: no subjectAltName at all, only the common name (a certificate that must not match). */
  readonly san?: boolean
}

export type Authority = {
  /** PEM of this authority's own certificate. */
  readonly cert: string
  /** A server certificate for these DNS names (or IP addresses); valid from yesterday for a year unless said otherwise. */
  readonly issue: (names: readonly string[], options?: LeafOptions) => Promise<Leaf>
  /** A CA below this one. `sent: false`: its leaves come without the intermediate certificate (chain incomplete). */
  readonly below: (name: string, options?: { readonly sent?: boolean }) => Promise<Authority>
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const day = 24 * 60 * 60 * 1000

type Signer = { readonly name: string; readonly keys: CryptoKeyPair; readonly cert: string; readonly sentAlong: string }

/** A new root CA with its own key, valid for ten years. */
export async function createAuthority(name = 'Demo Root'): Promise<Authority> {
  const keys = await newKeys()
  const subject = `CN=${name}`
  const cert = await X509CertificateGenerator.createSelfSigned({
    ...validity({}, 3650),
    serialNumber: serial(),
    name: subject,
    keys,
    signingAlgorithm: algorithm,
    extensions: caExtensions(),
  })
  return authority({ name: subject, keys, cert: cert.toString('pem'), sentAlong: '' })
}

/** A certificate that vouches only for itself. */
export async function selfSigned(names: readonly string[], options: LeafOptions = {}): Promise<Leaf> {
  const keys = await newKeys()
  const cert = await X509CertificateGenerator.createSelfSigned({
    ...validity(options, 365),
    serialNumber: serial(),
    name: subjectOf(names, options),
    keys,
    signingAlgorithm: algorithm,
    extensions: leafExtensions(names, options),
  })
  return { cert: cert.toString('pem'), key: await keyPem(keys) }
}

function authority(signer: Signer): Authority {
  return {
    cert: signer.cert,
    issue: async (names, options = {}) => {
      const keys = await newKeys()
      const cert = await sign(signer, keys, subjectOf(names, options), validity(options, 365), leafExtensions(names, options))
      return { cert: `${cert}\n${signer.sentAlong}`, key: await keyPem(keys) }
    },
    below: async (name, { sent = true } = {}) => {
      const keys = await newKeys()
      const cert = await sign(signer, keys, `CN=${name}`, validity({}, 1825), caExtensions())
      return authority({ name: `CN=${name}`, keys, cert, sentAlong: sent ? `${cert}\n${signer.sentAlong}` : '' })
    },
  }
}

type Validity = { readonly notBefore: Date; readonly notAfter: Date }
type Extensions = NonNullable<Parameters<typeof X509CertificateGenerator.create>[0]['extensions']>

async function sign(signer: Signer, keys: CryptoKeyPair, subject: string, dates: Validity, extensions: Extensions): Promise<string> {
  const cert = await X509CertificateGenerator.create({
    ...dates,
    serialNumber: serial(),
    subject,
    issuer: signer.name,
    publicKey: keys.publicKey,
    signingKey: signer.keys.privateKey,
    signingAlgorithm: algorithm,
    extensions,
  })
  return cert.toString('pem')
}

const newKeys = () => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<CryptoKeyPair>

async function keyPem(keys: CryptoKeyPair): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
  return `-----BEGIN PRIVATE KEY-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`
}

// RFC 5280 §4.1.2.2: positive, at most 20 octets.
const serial = () => `01${randomBytes(15).toString('hex')}`

const subjectOf = (names: readonly string[], options: LeafOptions) => `CN=${options.commonName ?? names[0] ?? 'nobody'}`

const validity = ({ notBefore, notAfter }: LeafOptions, days: number): Validity => ({
  notBefore: notBefore ?? new Date(Date.now() - day),
  notAfter: notAfter ?? new Date(Date.now() + days * day),
})

const caExtensions = (): Extensions => [
  new BasicConstraintsExtension(true, undefined, true),
  new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
]

function leafExtensions(names: readonly string[], { san = true }: LeafOptions): Extensions {
  const alternative = names.map((name) => ({ type: /^[\d.]+$|:/.test(name) ? ('ip' as const) : ('dns' as const), value: name }))
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1']),
    ...(san ? [new SubjectAlternativeNameExtension(alternative)] : []),
  ]
}
