/** Whom we trust: the system's certificate authorities (else Node's), and those that the settings add. */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls'

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

export type Trust = {
  /** For one handshake. `reduced`: a ClientHello that also old or clumsy servers understand. */
  readonly context: (min: TlsVersion, reduced: boolean) => SecureContext
  /** The roots, parsed; only needed to say why a chain failed. */
  readonly roots: () => readonly X509Certificate[]
  /** The file they come from, or 'Node'. */
  readonly source: string
}

// Node's bundled roots age with Node; the system's are kept up to date by its packages.
const systemStores = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

// TLS 1.2 with the suites that RFC 9325 §4.2 recommends, and the two most spread before them.
const reducedCiphers = 'ECDHE+AESGCM:DHE+AESGCM:ECDHE+AES:AESGCM'

/** Read the stores. Rejects when `extra` (a PEM file) cannot be read or holds no certificate: a fault of ours. */
export async function loadTrust(extra: string | undefined, stores: readonly string[] = systemStores): Promise<Trust> {
  const system = await firstReadable(stores)
  const added = extra === undefined ? [] : pems(await readFile(extra, 'utf8'))
  if (extra !== undefined && added.length === 0) throw new Error(`${extra} (tls.ca) holds no PEM certificate`)
  const all = [...(system?.certificates ?? rootCertificates), ...added]
  const contexts = new Map<string, SecureContext>()
  let parsed: readonly X509Certificate[] | undefined
  return {
    source: system?.path ?? 'Node',
    context: (min, reduced) => {
      const key = `${min} ${reduced}`
      const made = contexts.get(key) ?? newContext(all, min, reduced)
      contexts.set(key, made)
      return made
    },
    roots: () => {
      parsed ??= all.flatMap(parse)
      return parsed
    },
  }
}

async function firstReadable(
  stores: readonly string[],
): Promise<{ readonly path: string; readonly certificates: readonly string[] } | undefined> {
  for (const path of stores) {
    const certificates = pems(await readFile(path, 'utf8').catch(() => ''))
    if (certificates.length > 0) return { path, certificates }
  }
  return undefined
}

const pems = (text: string): string[] => text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []

const newContext = (ca: readonly string[], min: TlsVersion, reduced: boolean): SecureContext =>
  createSecureContext({ ca: [...ca], minVersion: min, ...(reduced && { maxVersion: 'TLSv1.2' as const, ciphers: reducedCiphers }) })

function parse(pem: string): X509Certificate[] {
  try {
    return [new X509Certificate(pem)]
  } catch {
    return []
  }
}
