/** The first certificate: self-signed, made here, so that STARTTLS works before anyone has asked a CA. */
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'

/** PEM texts. */
export type Certificate = { readonly cert: string; readonly key: string }

const day = 86_400_000
const lifetime = 825 * day
/** Renewed this long before it ends: whoever pinned it is warned by no one, but nobody meets an expired one. */
const renewBefore = 30 * day
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/**
 * The self-signed certificate kept in `folder` (`smtp-self-signed.pem`, `.key`), made anew when it is absent, unreadable,
 * for another host name or about to expire. The folder is made 0700, the key file 0600.
 */
export async function firstCertificate(folder: string, hostname: string, now = Date.now()): Promise<Certificate> {
  const files = { cert: join(folder, 'smtp-self-signed.pem'), key: join(folder, 'smtp-self-signed.key') }
  const kept = await readKept(files)
  if (kept !== undefined && isGood(kept, hostname, now)) return kept
  const made = await make(hostname, now)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeSafely(files.key, made.key)
  await writeSafely(files.cert, made.cert)
  return made
}

async function readKept(files: { readonly cert: string; readonly key: string }): Promise<Certificate | undefined> {
  try {
    return { cert: await readFile(files.cert, 'utf8'), key: await readFile(files.key, 'utf8') }
  } catch {
    return undefined
  }
}

/** A crash between the two renames leaves a key that does not fit: that counts as no certificate. */
function isGood({ cert, key }: Certificate, hostname: string, now: number): boolean {
  try {
    const certificate = new X509Certificate(cert)
    if (Date.parse(certificate.validTo) - renewBefore <= now || Date.parse(certificate.validFrom) > now) return false
    return certificate.checkHost(hostname, { subject: 'never' }) !== undefined && certificate.checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}

/** What makes it is loaded only here: it would cost every later start a tenth of a second. */
async function make(hostname: string, now: number): Promise<Certificate> {
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  x509.cryptoProvider.set(webcrypto as Crypto)
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: `01${Buffer.from(webcrypto.getRandomValues(new Uint8Array(15))).toString('hex')}`,
    name: [{ CN: [hostname.slice(0, 64)] }],
    notBefore: new Date(now - day),
    notAfter: new Date(now + lifetime),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: hostname }]),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/(.{64})(?=.)/g, '$1\n')}\n-----END PRIVATE KEY-----\n`
  return { cert: `${certificate.toString('pem')}\n`, key }
}

async function writeSafely(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
}
