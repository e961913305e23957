/** dkimpy as an oracle: does another program accept these DKIM signatures, with the DNS records given? */
import { execFileSync } from 'node:child_process'
import { peer } from './peers.ts'

/** Options for a test that needs it. */
export const dkimpy = peer('dkimverify')

export type Verified = {
  readonly domain: string
  readonly selector: string
  readonly algorithm: string
  readonly valid: boolean
  readonly error: string
}

const script = `
import base64, json, sys, re, dkim
given = json.load(sys.stdin)
message = base64.b64decode(given['message'])
look = lambda name, timeout=5: (given['records'].get(name.decode().rstrip('.')) or '').encode() or None
count = sum(1 for name, _ in dkim.rfc822_parse(message)[0] if name.lower() == b'dkim-signature')
found = []
for i in range(count):
    one, error = dkim.DKIM(message), ''
    try:
        valid = one.verify(idx=i, dnsfunc=look)
    except dkim.DKIMException as problem:
        valid, error = False, str(problem)
    fields = {k.decode(): v.decode() for k, v in (one.signature_fields or {}).items()}
    found.append(dict(domain=fields.get('d', ''), selector=fields.get('s', ''), algorithm=fields.get('a', ''), valid=bool(valid), error=error))
print(json.dumps(found))
`

/** Every DKIM-Signature field from the top; records by name, without the last dot. */
export function verifyDkim(message: Buffer, records: { readonly [name: string]: string }): Verified[] {
  // Debian's python3-dkim is seen by Debian's Python alone; another one may stand first in PATH.
  const input = JSON.stringify({ message: message.toString('base64'), records })
  return JSON.parse(execFileSync('/usr/bin/python3', ['-c', script], { input, maxBuffer: 64 * 1024 * 1024 }).toString()) as Verified[]
}
