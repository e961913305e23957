/** What one setting alone cannot tell: values derived from others, and rules between them. */
import { join } from 'node:path'
import { isLoopbackHost, isLoopbackUrl } from './loopback.ts'
import type { Problem } from './settings-file.ts'
import type { Key, Settings } from './settings-table.ts'

/** Longest line that every mail program leaves whole (spec: the link stands on a line of its own). */
const longestLink = 76
/** `/m/` and 32 characters of secret. */
const linkPath = 3 + 32
const hour = 3_600_000

/** Fills in the defaults that hang on other settings; `isDefault` says which keys nobody set. */
export function derive(settings: Settings, isDefault: (key: Key) => boolean): Settings {
  const given = <K extends Key>(key: K, derived: Settings[K]): Settings[K] => (isDefault(key) ? derived : settings[key])
  return {
    ...settings,
    database: given('database', `sqlite:${join(settings.data, 'letterlock.db')}`),
    blobs: given('blobs', `file:${join(settings.data, 'blobs')}`),
    keys: given('keys', `file:${join(settings.data, 'keys')}`),
    'portal.url': given('portal.url', `http://localhost:${settings['portal.listen'].port}`),
    'notice.from': given('notice.from', `letters@${settings['organisation.domains'][0] ?? settings.hostname}`),
  }
}

/** The rules between settings: one problem for each that is broken. */
export function crossCheck(settings: Settings): readonly Problem[] {
  const problems: Problem[] = []
  const refuse = (key: Key, text: string, hint?: string): void => {
    problems.push(hint === undefined ? { key, text } : { key, text, hint })
  }
  for (const key of ['portal.url', 'portal.formerUrls'] as const)
    for (const url of [settings[key]].flat()) {
      if (url.startsWith('http:') && !isLoopbackUrl(url))
        refuse(key, `must be https because ${new URL(url).hostname} is not this machine`, 'put a TLS proxy in front of portal.listen')
      if (url.length + linkPath > longestLink)
        refuse(
          key,
          `makes links of ${url.length + linkPath} characters; mail programs break lines longer than ${longestLink}`,
          'use a shorter host name',
        )
    }
  for (const [domain, route] of Object.entries(settings['delivery.routes']))
    if (route.tls === 'none' && !settings['organisation.domains'].includes(domain) && !isLoopbackHost(route.host))
      refuse(
        'delivery.routes',
        `for '${domain}' has tls: none, which is accepted only for organisation.domains and loopback hosts`,
        'use tls: encrypted or verified',
      )
  if ((settings['smtp.tls.cert'] === undefined) !== (settings['smtp.tls.key'] === undefined)) {
    const missing = settings['smtp.tls.cert'] === undefined ? 'smtp.tls.cert' : 'smtp.tls.key'
    refuse(missing, 'is missing: smtp.tls.cert and smtp.tls.key belong together')
  }
  if (!settings.database.startsWith('sqlite:') && !URL.canParse(settings.database))
    refuse('database', 'is no address', 'write postgres://user:password@host:5432/database, and @ : / of a password as %40 %3A %2F')
  if (settings['limits.claim'] < 1000) refuse('limits.claim', 'must be at least 1s')
  // A write that waited for longer than a claim holds would begin with a claim that is over: two nodes would deliver the same mail.
  if (!settings.database.startsWith('sqlite:') && 2 * settings['limits.databasePatience'] > settings['limits.claim'])
    refuse('limits.databasePatience', 'must be at most half of limits.claim')
  if (!settings.blobs.startsWith('file:')) refuse('blobs', 'names S3, which is not available in this version', 'use file:<folder>')
  if (!settings.keys.startsWith('file:')) refuse('keys', 'names a command, which is not available in this version', 'use file:<folder>')
  if (settings['escrow.expires'] < hour || settings['escrow.expires'] > 365 * 24 * hour)
    refuse('escrow.expires', 'must be between 1h and 365d')
  for (const key of ['retry.schedule', 'retry.code'] as const)
    if (settings[key].length === 0 || settings[key].some((pause) => pause <= 0))
      refuse(key, 'needs at least one pause, each longer than 0s')
  for (const key of [
    ...(['smtp.maxRecipients', 'smtp.maxMessageSize', 'delivery.port'] as const),
    ...(['limits.connections', 'limits.deliveries', 'limits.connectionsPerAddress', 'limits.databaseConnections'] as const),
  ])
    if (settings[key] === 0) refuse(key, 'must be more than 0')
  return problems
}
