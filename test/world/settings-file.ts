/** Settings as a file, for a gateway or a command that runs as a process of its own. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Settings } from '../../src/ops/settings.ts'

/** Settings by section, as the file has them: `{ limits: { claim: '2s' } }`. */
export type Sections = { readonly [section: string]: { readonly [name: string]: unknown } }

/** Write what a small world needs of these settings to `path` (JSON is YAML); `more` is added to it, section by section. */
export async function writeSettings(path: string, settings: Settings, more: Sections = {}): Promise<void> {
  const own = sectionsOf(settings)
  const merged = Object.entries(more).map(([name, section]) => [name, { ...own[name], ...section }])
  const { hostname, data, database, blobs, keys } = settings
  await writeFile(path, JSON.stringify({ hostname, data, database, blobs, keys, ...own, ...Object.fromEntries(merged) }))
}

function sectionsOf(settings: Settings): Sections {
  const at = ({ host, port }: { host: string; port: number }) => `${host}:${port}`
  const ca = settings['tls.ca']
  return {
    organisation: { name: settings['organisation.name'], domains: settings['organisation.domains'] },
    smtp: { listen: settings['smtp.listen'].map(at) },
    delivery: {
      port: settings['delivery.port'],
      allowPrivateAddresses: settings['delivery.allowPrivateAddresses'],
      routes: settings['delivery.routes'],
    },
    dns: { servers: settings['dns.servers'] },
    ...(ca !== undefined && { tls: { ca } }),
    portal: { listen: at(settings['portal.listen']), url: settings['portal.url'] },
    admin: { listen: at(settings['admin.listen']) },
    metrics: { listen: at(settings['metrics.listen']) },
    retry: { schedule: settings['retry.schedule'].map((wait) => `${wait}ms`) },
    notice: { from: settings['notice.from'] },
    monitor: { probes: settings['monitor.probes'] },
    limits: { inlineContent: `${settings['limits.inlineContent']}B` },
  }
}

/** The same settings with all data in another folder, on SQLite. */
export const moved = (settings: Settings, data: string): Settings => ({
  ...settings,
  data,
  database: `sqlite:${join(data, 'letterlock.db')}`,
  blobs: `file:${join(data, 'blobs')}`,
  keys: `file:${join(data, 'keys')}`,
})
