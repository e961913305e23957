/** Writes docs/settings.md from the settings table. */
import { type Entry, environmentName, keys, table } from './settings-table.ts'

/** The whole of docs/settings.md. */
export function settingsMarkdown(): string {
  const rows = (wanted: boolean): string[] =>
    keys
      .map((key): [string, Entry<unknown>] => [key, table[key]])
      .filter(([, entry]) => (entry.later ?? false) === wanted)
      .map(
        ([key, { initial, kind, about, secret }]) =>
          `| \`${key}\` | ${initial === '' ? '–' : code(initial)} | ${cell(kind.name)} | ${cell(about)}${secret ? ' (secret)' : ''} |`,
      )
  const head = ['| setting | default | kind | meaning |', '|---|---|---|---|']
  return [...preface, ...head, ...rows(false), '', ...laterPreface, ...head, ...rows(true), ''].join('\n')
}

const code = (text: string): string => `\`${cell(text)}\``
const cell = (text: string): string => text.replaceAll('|', '\\|')

const preface = [
  '<!-- Written by `npm run docs` from src/ops/settings-table.ts; a test fails when this file is stale. -->',
  '# Settings',
  '',
  'The environment goes before the file, the file before the default. The file is YAML and is named by `--config FILE`; dots in a setting are nesting:',
  '',
  '```yaml',
  'hostname: gate.example.org',
  'organisation:',
  '  name: Example Organisation',
  '  domains: [example.org]',
  'portal:',
  '  url: https://letters.example.org',
  'delivery:',
  '  routes:',
  '    example.org: { host: mail.internal.example.org, port: 25, tls: verified }',
  '```',
  '',
  'In the environment a setting is `LETTERLOCK_` and its name in upper snake case: `smtp.maxMessageSize` is',
  `\`${environmentName('smtp.maxMessageSize')}\`. Lists are parted by commas, maps are JSON. For a setting marked *secret*, a name ending in`,
  '`_FILE` gives the file that holds the value.',
  '',
  'Addresses to listen on are `host:port`, IPv6 in brackets. Durations are `30s`, `5m`, `1h`, `30d` and their sums (`1h30m`). Sizes are `64KiB`, `50MiB`,',
  '`1GiB`. Relative paths start from the folder of the file (without a file: from the current folder). `–` means nothing.',
  '',
  'A name that is not in these tables is an error that says the nearest one, with exit code 78. `letterlock settings print` shows the values in',
  'force and where each comes from.',
  '',
]

const laterPreface = [
  '## Known, not available in this version',
  '',
  'Only the default is accepted; any other value ends the program with exit code 78.',
  '',
]
