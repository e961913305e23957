/** Every setting there is: name, default, kind and one sentence; the type, the reader and docs/settings.md all come from this table. */
import * as kind from './settings-kinds.ts'

/** One line of the table. */
export type Entry<T> = {
  /** As it would be written in the environment; `<…>` stands for what is derived from other settings. */
  readonly initial: string
  readonly kind: kind.Kind<T>
  readonly about: string
  /** Known, but this version does nothing with it: only the default is accepted. */
  readonly later?: true
  /** Values that are known, but not available in this version. */
  readonly laterValues?: readonly T[]
  /** Never printed; `…_FILE` in the environment names a file that holds it. */
  readonly secret?: true
}

const now = <T>(initial: string, of: kind.Kind<T>, about: string): Entry<T> => ({ initial, kind: of, about })
const later = <T>(initial: string, of: kind.Kind<T>, about: string): Entry<T> => ({ initial, kind: of, about, later: true })
const secret = <T>(entry: Entry<T>): Entry<T> => ({ ...entry, secret: true })

export const table = {
  hostname: now('letterlock.localhost', kind.hostName, 'The name we give in EHLO, Received and Message-ID.'),
  'organisation.name': now('', kind.text, 'Whose mail this is, in words; shown in notices and pages.'),
  'organisation.domains': now(
    '',
    kind.list(kind.domain),
    'Only senders of these domains are relayed (a null reverse-path is judged by its header From). Empty: any sender, loopback clients only.',
  ),
  'organisation.language': now('en', kind.oneOf('en', 'de'), 'Language of notices and pages when the recipient’s is unknown.'),
  data: now('./data', kind.path, 'The folder of keys, database and stored mail.'),
  database: secret(
    now(
      'sqlite:<data>/letterlock.db',
      kind.location('sqlite', 'postgres', 'postgresql'),
      'Where rows are kept: one SQLite file, or a PostgreSQL server (postgres://user:password@host/database, docs/postgresql.md).',
    ),
  ),
  blobs: secret(
    now('file:<data>/blobs', kind.location('file', 's3'), 'Where large sealed messages are kept; s3:// is not available in this version.'),
  ),
  keys: now('file:<data>/keys', kind.location('file', 'exec'), 'Where the server keys are kept; exec: is not available in this version.'),
  roles: later(
    'all',
    kind.list(kind.oneOf('all', 'submission', 'delivery', 'portal', 'admin', 'monitor')),
    'Which parts of the gateway this process runs.',
  ),

  'smtp.listen': now('127.0.0.1:2525', kind.list(kind.listen), 'Where mail is taken in, STARTTLS offered.'),
  'smtp.implicitTlsListen': now('', kind.list(kind.listen), 'Where mail is taken in by TLS from the first byte (RFC 8314).'),
  'smtp.tls.cert': now(
    '',
    kind.optional(kind.path),
    'PEM file of the certificate and its chain for SMTP; without one a self-signed certificate is made in the data folder.',
  ),
  'smtp.tls.key': now('', kind.optional(kind.path), 'PEM file of the private key that belongs to smtp.tls.cert.'),
  'smtp.relay.networks': now('127.0.0.0/8, ::1/128', kind.list(kind.network), 'Clients that may relay without AUTH.'),
  'smtp.relay.plaintextNetworks': now(
    '127.0.0.0/8, ::1/128',
    kind.list(kind.network),
    'Clients that may submit without TLS; everyone else must STARTTLS before MAIL.',
  ),
  'smtp.relay.forwarded': later(
    'refuse',
    kind.oneOf('refuse', 'srs', 'registered'),
    'What becomes of mail that the organisation’s server forwards.',
  ),
  'smtp.relay.tenants': later('', kind.list(kind.text), 'Cloud tenants that may relay: name, header, value, certificate.'),
  'smtp.maxMessageSize': now('50MiB', kind.size, 'Larger messages are refused with 552.'),
  'smtp.maxRecipients': now('1000', kind.count, 'More recipients of one message are refused with 452.'),
  'inbound.listen': later('', kind.optional(kind.listen), 'Where mail to addresses that we made is taken in.'),

  'delivery.port': now('25', kind.port, 'The port of other people’s mail servers.'),
  'delivery.sourceAddresses': now('', kind.list(kind.ipAddress), 'Our addresses to connect from; empty: the system chooses.'),
  'delivery.ipv6': now('true', kind.yesNo, 'Whether IPv6 addresses of next hops are tried.'),
  'delivery.allowPrivateAddresses': now(
    'false',
    kind.yesNo,
    'Whether next hops and MTA-STS hosts may have loopback or private addresses; for tests.',
  ),
  'delivery.routes': now(
    '{}',
    kind.routes,
    'Domain or "*" → {host, port, tls: none, encrypted or verified}: replaces MX; its tls is the least need. tls none is accepted only for organisation.domains and loopback hosts.',
  ),
  'dns.servers': now(
    'system',
    kind.list(kind.dnsServer, 'system'),
    'The DNS servers to ask; `system` means those of the operating system.',
  ),
  'dns.trustAd': now(
    'auto',
    kind.oneOf('auto', 'always', 'never'),
    'Whether the DNS server’s word that it validated DNSSEC (the AD bit) is believed, as DANE needs; `auto`: of a server on this machine that validates the root.',
  ),
  'tls.ca': now('', kind.optional(kind.path), 'PEM file of more certificate authorities to trust, besides the system’s.'),
  'tls.ratchet': now('90d', kind.duration, 'For how long after a delivery over verified TLS its loss is taken for a downgrade; 0: never.'),
  'tls.minVersion': now('1.2', kind.oneOf('1.2', '1.3'), 'The oldest TLS version we speak, in and out.'),

  'portal.listen': now('127.0.0.1:8080', kind.listen, 'Where the recipients’ pages are served, plain HTTP.'),
  'portal.url': now(
    'http://localhost:<port of portal.listen>',
    kind.origin,
    'The address people see; https is demanded unless it is loopback.',
  ),
  'portal.formerUrls': now('', kind.list(kind.origin), 'Earlier values of portal.url, whose links still work.'),
  'portal.tls.cert': later('', kind.optional(kind.path), 'PEM certificate for the portal; put a TLS proxy in front meanwhile.'),
  'portal.tls.key': later('', kind.optional(kind.path), 'PEM key for the portal; put a TLS proxy in front meanwhile.'),
  'admin.listen': now(
    '127.0.0.1:8081',
    kind.listen,
    'Where the API answers (docs/api.md), and /readyz and /livez; the console comes later.',
  ),
  'admin.url': later('http://localhost:8081', kind.origin, 'The address of the console.'),
  'admin.tls.cert': later('', kind.optional(kind.path), 'PEM certificate for the console.'),
  'admin.tls.key': later('', kind.optional(kind.path), 'PEM key for the console.'),
  'http.trustedProxies': now('', kind.list(kind.network), 'Proxies whose X-Forwarded-For is believed.'),
  'metrics.listen': now(
    '127.0.0.1:9464',
    kind.listen,
    'Where /metrics answers, and /readyz and /livez too; no token is asked for (docs/metrics.md).',
  ),
  'policy.file': now(
    '',
    kind.optional(kind.path),
    'A policy that is applied at start when the file has changed since it was last applied.',
  ),

  'retry.schedule': now(
    '5m, 10m, 20m, 40m, 60m',
    kind.list(kind.duration),
    'Pauses between ordinary attempts; after the last each pause is 1.5 times the one before, at most 4h.',
  ),
  'retry.lifetime': now('5d', kind.duration, 'How long a message is tried before it is bounced.'),
  'retry.delayNotice': now('1h', kind.duration, 'When the sender hears that a message waits.'),
  'retry.tls.soft': now('60m', kind.duration, 'How long a TLS failure that may pass is retried before the next step is taken.'),
  'retry.tls.ratchet': now(
    '4h',
    kind.duration,
    'The same for a domain that had verified TLS before (tls.ratchet); then the next step is taken as `downgrade-suspected`.',
  ),
  'retry.tls.enforced': now(
    '24h',
    kind.duration,
    'The same for a domain that publishes MTA-STS enforce or DANE; its notices wait for retry.lifetime.',
  ),
  'retry.code': now('15s, 30s, 60s, 2m, 4m', kind.list(kind.duration), 'Pauses between attempts for code mail.'),

  'dkim.signUnsigned': now(
    'false',
    kind.yesNo,
    'Whether mail of the organisation that carries no aligned DKIM signature gets ours (docs/dkim.md); what we write ourselves is signed wherever there is a key.',
  ),

  'escrow.expires': now('30d', kind.duration, 'How long a letter can be read when its rule does not say; 1h to 365d.'),
  'escrow.proof': now(
    'code',
    kind.oneOf('link', 'code', 'second-factor'),
    'What a reader needs when the rule does not say. link is raised to code when the notice did not go over a verified channel; second-factor: there are none in this version, so the message is held and its sender told.',
  ),
  'escrow.onDowngrade': now(
    'second-factor',
    kind.oneOf('second-factor', 'hold'),
    'What becomes of a message that should be a letter when a downgrade is suspected, when the rule does not say. In this version either means that it is held and its sender told: `queue release` tries TLS again, `queue bounce` returns it.',
  ),
  'escrow.onClearPath': now(
    'code',
    kind.oneOf('code', 'second-factor'),
    'What a letter needs when its recipient’s mail path is not encrypted, when the rule does not say. second-factor: held, as with escrow.proof.',
  ),
  'notice.from': now('letters@<first of organisation.domains, else hostname>', kind.mailbox, 'The address that notices come from.'),
  'notice.subject': now('neutral', kind.oneOf('neutral', 'original'), 'Whether a notice carries the message’s own subject.'),
  'notice.senderLink': {
    ...now(
      'digest',
      kind.oneOf('digest', 'at-once', 'never'),
      'When the sender is mailed the status link of a letter: digest with the mail that tells of a notice that waits (the daily digest itself and at-once are not available in this version); never.',
    ),
    laterValues: ['at-once'],
  },
  'notice.bounceDomain': later('', kind.optional(kind.domain), 'The domain of the reverse-path of notices.'),
  'reply.domain': later('', kind.optional(kind.domain), 'The domain of reply addresses.'),

  'monitor.probes': now(
    'true',
    kind.yesNo,
    'Whether the mail hosts of each domain written to in the last 30 days are looked at daily (letterlock domain list); no mail is sent for it.',
  ),

  'limits.connections': now('1000', kind.count, 'SMTP clients at once; more are answered 421.'),
  'limits.headerSize': now('256KiB', kind.size, 'The largest header block accepted.'),
  'limits.lineLength': now('64KiB', kind.size, 'The longest line accepted.'),
  'limits.receivedFields': now('30', kind.count, 'A message with more Received fields is in a loop.'),
  'limits.authFailures': now('5', kind.count, 'Wrong passwords of one client address in 10 minutes before it is refused.'),
  'limits.commandTimeout': now('5m', kind.duration, 'How long an SMTP client may be silent (RFC 5321 §4.5.3.2.7).'),
  'limits.dataTimeout': now(
    '9m',
    kind.duration,
    'How long one DATA may take; below the 10 minutes after which clients send twice (RFC 1047).',
  ),
  'limits.inlineContent': now('256KiB', kind.size, 'Sealed messages up to this size are kept with their row, larger ones as files.'),
  'limits.pgpMessageSize': now(
    '50MiB',
    kind.size,
    'Larger messages are not encrypted with PGP: the ciphertext is held in memory while it is sent.',
  ),
  'limits.deliveries': now('150', kind.count, 'Attempts at once; one destination gets three quarters of them at most.'),
  'limits.claim': now(
    '5m',
    kind.duration,
    'How long a claim on a message holds without being renewed; then another process on the same PostgreSQL takes it over.',
  ),
  'limits.databaseConnections': now('8', kind.count, 'Connections to PostgreSQL for reading; two more are for writing and listening.'),
  'limits.databasePatience': now(
    '30s',
    kind.duration,
    'How long mail and pages wait for a PostgreSQL that is away; then clients are told 451, and try again.',
  ),
  'limits.connectionsPerAddress': now(
    '20',
    kind.count,
    'Connections at once to one IP address of a mail host, whatever domains are behind it.',
  ),
  'limits.codePerMinute': now('1', kind.count, 'Code mails per minute to one address.'),
  'limits.codePerHour': now('5', kind.count, 'Code mails per hour to one address.'),
  'limits.handOversPerHour': now(
    '5',
    kind.count,
    'How often within an hour the sender of one letter may be mailed a new link and words for it.',
  ),
  'limits.portalFailures': now(
    '60',
    kind.count,
    'Unknown links and wrong codes of one client address in 10 minutes before the portal makes it wait.',
  ),
  'rates.sender': later('', kind.text, 'Above how many messages an hour of one sender an alert goes out.'),
  'log.level': now(
    'info',
    kind.oneOf('silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'),
    'How much is logged, to standard error as JSON lines.',
  ),
} satisfies { readonly [key: string]: Entry<unknown> }

export type Key = keyof typeof table
type ValueOf<E> = E extends Entry<infer T> ? T : never
/** Durations in milliseconds, sizes in bytes, paths absolute. */
export type Settings = { readonly [K in Key]: ValueOf<(typeof table)[K]> }

export const keys = Object.keys(table) as readonly Key[]

/** `smtp.maxMessageSize` → `LETTERLOCK_SMTP_MAX_MESSAGE_SIZE`. */
export const environmentName = (key: string): string =>
  `LETTERLOCK_${key
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll('.', '_')
    .toUpperCase()}`
