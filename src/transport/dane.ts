/** DANE (RFC 7671, RFC 7672): whether the certificates that a server showed are what its TLSA records say. Pure. */
import { createHash, type KeyObject, X509Certificate } from 'node:crypto'
import { certificateNames } from './certificate.ts'
import { hasWeakSignature, pathLength, subjectPublicKeyInfo, unknownCritical } from './certificate-parts.ts'
import { type Tlsa, tlsaText, usableTlsa, wholeCertificate, wholeKey } from './tlsa.ts'

/**
 * - match: the server is the one that the records mean. - unusable: no record can be used: TLS is demanded, but proves nobody.
 * - mismatch: not the server that the records mean; `row` is a row of the decision table, `text` says why.
 */
export type DaneVerdict =
  | { readonly kind: 'match'; readonly record: string }
  | { readonly kind: 'unusable' }
  | { readonly kind: 'mismatch'; readonly row: DaneRow; readonly text: string }

export type DaneRow = 'tlsa-mismatch' | 'not-trusted' | 'name-mismatch' | 'expired'

/**
 * `chain`: DER as the server sent it, its own certificate first, the others in any order. `names`: one of them must be in the certificate
 * where a trust anchor is what the records give (RFC 7672 §3.2.2). `now` in milliseconds.
 */
export function judgeDane(chain: readonly Buffer[], records: readonly Tlsa[], names: readonly string[], now: number): DaneVerdict {
  const usable = usableTlsa(records)
  if (usable.length === 0) return { kind: 'unusable' }
  const [leaf, ...others] = chain.map(wholeCertificate)
  if (!leaf) return mismatch('tlsa-mismatch', 'the server showed no certificate that can be read')
  // RFC 7671 §5.1: names, dates and issuers do not matter: the record itself says that it is this key.
  const ee = usable.find((record) => record.usage === 3 && matches(record, leaf))
  if (ee) return { kind: 'match', record: tlsaText(ee) }
  const anchors = usable.filter(({ usage }) => usage === 2)
  if (anchors.length > 0)
    return judgeAnchored(
      leaf,
      others.filter((one) => one !== undefined),
      anchors,
      { names, now },
    )
  return mismatch('tlsa-mismatch', `none of the TLSA records (${listed(usable)}) is for the certificate that was shown`)
}

const mismatch = (row: DaneRow, text: string) => ({ kind: 'mismatch', row, text }) as const
type Mismatch = ReturnType<typeof mismatch>

const listed = (records: readonly Tlsa[]) =>
  `${records.slice(0, 4).map(tlsaText).join(', ')}${records.length > 4 ? `, ${records.length - 4} more` : ''}`

/** RFC 6698 §2.1.2, §2.1.3. */
function matches({ selector, matching, data }: Tlsa, certificate: X509Certificate): boolean {
  const selected = selector === 0 ? certificate.raw : subjectPublicKeyInfo(certificate)
  if (selected === undefined) return false
  if (matching === 0) return selected.equals(data)
  return createHash(matching === 1 ? 'sha256' : 'sha512')
    .update(selected)
    .digest()
    .equals(data)
}

type Reference = { readonly names: readonly string[]; readonly now: number }

/** DANE-TA(2), RFC 7671 §5.2: some path of signatures must lead from the leaf to an anchor, and be good. */
function judgeAnchored(
  leaf: X509Certificate,
  sent: readonly X509Certificate[],
  anchors: readonly Tlsa[],
  reference: Reference,
): DaneVerdict {
  const failures: Mismatch[] = []
  for (const path of pathsTo(leaf, sent, anchors)) {
    const failure = judgePath(path, reference)
    if (!failure) return { kind: 'match', record: tlsaText(path.anchor) }
    failures.push(failure)
  }
  for (const row of ['expired', 'name-mismatch', 'not-trusted'] as const) {
    const failure = failures.find((one) => one.row === row)
    if (failure) return failure
  }
  if (anchors.some((record) => matches(record, leaf)))
    return mismatch(
      'tlsa-mismatch',
      'its TLSA record of usage 2 is for the server’s own certificate, which is no authority (usage 3 says that)',
    )
  if (sent.some((one) => anchors.some((record) => matches(record, one))))
    return mismatch('not-trusted', 'no signatures lead from its certificate to the authority that the TLSA records name')
  return mismatch(
    'tlsa-mismatch',
    `no certificate that was shown is one of the authorities that the TLSA records name (${listed(anchors)})`,
  )
}

/** From the leaf to the last certificate below a bare key, or to the anchor's own certificate. */
type Path = {
  readonly path: readonly X509Certificate[]
  readonly anchor: Tlsa
  /** How many of its signatures count: the anchor's own does not, its record vouches for it. */
  readonly signatures: number
}

const longestPath = 10
// Ten certificates of one name that sign each other have millions of paths.
const mostSignatures = 100

function* pathsTo(leaf: X509Certificate, sent: readonly X509Certificate[], anchors: readonly Tlsa[]): Generator<Path> {
  // RFC 7671 §5.2.2, §5.2.3: a record may hold the anchor whole, which then need not be sent.
  const inRecords = anchors.flatMap(({ selector, matching, data }) =>
    matching === 0 && selector === 0 ? (wholeCertificate(data) ?? []) : [],
  )
  const known = unique([...sent, ...inRecords]).filter((one) => one.fingerprint256 !== leaf.fingerprint256)
  const keys = anchors.flatMap((anchor) => {
    const key = anchor.matching === 0 && anchor.selector === 1 ? wholeKey(anchor.data) : undefined
    return key ? [{ key, anchor }] : []
  })
  const open: (readonly X509Certificate[])[] = [[leaf]]
  let signatures = 0
  for (let path = open.shift(); path && signatures < mostSignatures; path = open.shift()) {
    const last = path.at(-1) ?? leaf
    for (const { key, anchor } of keys) {
      if (signatures++ < mostSignatures && signed(last, key)) yield { path, anchor, signatures: path.length }
    }
    for (const issuer of known) {
      if (path.includes(issuer) || path.length >= longestPath || !last.checkIssued(issuer)) continue
      if (signatures++ >= mostSignatures || !signed(last, issuer)) continue
      const longer = [...path, issuer]
      const anchor = anchors.find((record) => matches(record, issuer))
      if (anchor) yield { path: longer, anchor, signatures: path.length }
      open.push(longer)
    }
  }
}

/** A key of a kind that OpenSSL does not know signs nothing. */
function signed(certificate: X509Certificate, by: KeyObject | X509Certificate): boolean {
  try {
    return certificate.verify(by instanceof X509Certificate ? by.publicKey : by)
  } catch {
    return false
  }
}

const unique = (certificates: readonly X509Certificate[]): X509Certificate[] => [
  ...new Map(certificates.map((one) => [one.fingerprint256, one])).values(),
]

/** RFC 5280 §6.1, as far as signatures have not shown it. What no renewal repairs comes first. */
function judgePath({ path, signatures }: Path, { names, now }: Reference): Mismatch | undefined {
  const [leaf, ...issuers] = path
  if (!leaf) return mismatch('not-trusted', 'there is no certificate')
  for (const [i, issuer] of issuers.entries()) {
    const who = subjectOf(issuer)
    if (!issuer.ca) return mismatch('not-trusted', `${who} signed it without being an authority`)
    // Self-issued certificates between do not count (RFC 5280 §6.1.4 l).
    const between = issuers.slice(0, i).filter((one) => one.subject !== one.issuer).length
    if (between > (pathLength(issuer) ?? Number.POSITIVE_INFINITY))
      return mismatch('not-trusted', `${who} may not have ${between} authorities below it`)
  }
  for (const [i, one] of path.entries()) {
    if (unknownCritical(one).length > 0) return mismatch('not-trusted', `${subjectOf(one)} has conditions that we cannot judge`)
    if (!forServers(one)) return mismatch('not-trusted', `${subjectOf(one)} is not for servers`)
    if (i < signatures && hasWeakSignature(one)) return mismatch('not-trusted', `${subjectOf(one)} is signed over MD5 or SHA-1`)
  }
  if (!names.some((name) => certificateNames(leaf, name))) return mismatch('name-mismatch', `it names none of ${names.join(', ')}`)
  const late = path.find((one) => now > Date.parse(one.validTo) || now < Date.parse(one.validFrom))
  if (!late) return undefined
  const expired = now > Date.parse(late.validTo)
  return mismatch(
    'expired',
    `${subjectOf(late)} ${expired ? `expired on ${day(late.validTo)}` : `is not valid before ${day(late.validFrom)}`}`,
  )
}

const serverAuth = '1.3.6.1.5.5.7.3.1'
const anyUsage = '2.5.29.37.0'

// RFC 5280 §4.2.1.12; Node calls the extended key usage `keyUsage`, and leaves it undefined where there is none.
const forServers = ({ keyUsage }: X509Certificate): boolean =>
  keyUsage === undefined || keyUsage.length === 0 || keyUsage.includes(serverAuth) || keyUsage.includes(anyUsage)

const day = (date: string) => new Date(date).toISOString().slice(0, 10)

// Written by strangers and shown to admins.
const subjectOf = ({ subject }: X509Certificate): string =>
  `certificate "${(/^CN=(.*)$/m.exec(subject ?? '')?.[1] ?? subject ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, 100)}"`
