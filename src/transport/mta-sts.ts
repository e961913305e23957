/** MTA-STS (RFC 8461) as pure reading: the TXT record, the policy file, and whether an MX host is in the policy. */

export type StsMode = 'enforce' | 'testing' | 'none'

export type StsPolicy = {
  readonly mode: StsMode
  /** Seconds, at most a year (RFC 8461 §3.2). */
  readonly maxAge: number
  /** Host names or `*.suffix`, lower case. */
  readonly mx: readonly string[]
}

export type StsRecord =
  | { readonly kind: 'record'; readonly id: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'invalid'; readonly text: string }

/** The one STS record among the TXT records of `_mta-sts.<domain>`, each already joined from its strings (§3.1). Two are as good as none. */
export function readStsRecord(texts: readonly string[]): StsRecord {
  const records = texts.filter((text) => /^v=STSv1(?:[ \t]*;|[ \t]*$)/.test(text))
  const [only] = records
  if (only === undefined) return { kind: 'none' }
  if (records.length > 1) return { kind: 'invalid', text: `there are ${records.length} MTA-STS records, so none counts` }
  const id = /;[ \t]*id=([A-Za-z0-9]{1,32})[ \t]*(?:;|$)/.exec(only)?.[1]
  return id === undefined ? { kind: 'invalid', text: 'the MTA-STS record has no id of 1 to 32 letters and digits' } : { kind: 'record', id }
}

const longest = 31_557_600

/** Read a policy file (§3.2). The first of a repeated key counts, `mx` excepted; unknown keys are ignored. */
export function readStsPolicy(
  text: string,
): { readonly kind: 'policy'; readonly policy: StsPolicy } | { readonly kind: 'invalid'; readonly text: string } {
  const fields = new Map<string, string>()
  const mx: string[] = []
  for (const line of text.split(/\r?\n/)) {
    const [, key, value] = /^[ \t]*([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*:[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    if (key === undefined || value === undefined) continue
    if (key === 'mx') mx.push(value.toLowerCase().replace(/\.$/, ''))
    else if (!fields.has(key)) fields.set(key, value)
  }
  if (fields.get('version') !== 'STSv1') return invalid('it does not say "version: STSv1"')
  const mode = fields.get('mode')
  if (mode !== 'enforce' && mode !== 'testing' && mode !== 'none') return invalid('its mode is not enforce, testing or none')
  const maxAge = /^\d{1,10}$/.test(fields.get('max_age') ?? '') ? Number(fields.get('max_age')) : undefined
  if (maxAge === undefined || maxAge > longest) return invalid('its max_age is not a number of seconds up to a year')
  if (mode !== 'none' && mx.length === 0) return invalid('it names no mx')
  const bad = mx.find((pattern) => !/^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(pattern))
  if (bad !== undefined) return invalid(`its mx "${bad.slice(0, 80)}" is no host name`)
  return { kind: 'policy', policy: { mode, maxAge, mx } }
}

const invalid = (text: string) => ({ kind: 'invalid', text: `the MTA-STS policy cannot be used: ${text}` }) as const

/** Whether the policy names the MX host; a wildcard stands for exactly one label (§4.1). */
export function namesMx({ mx }: Pick<StsPolicy, 'mx'>, host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '')
  const parent = name.slice(name.indexOf('.') + 1)
  return mx.some((pattern) => (pattern.startsWith('*.') ? name.includes('.') && pattern.slice(2) === parent : pattern === name))
}
