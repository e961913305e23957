/** Policies, good and bad, for two readers of MTA-STS: what both make of each, and by which section of RFC 8461 we differ where we do. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { policyText } from '../world/sts-host.ts'

/** `secure <mx>:<mx>` as for Postfix's TLS policy, sorted, a wildcard as `.suffix`; or nothing binding. */
export type Verdict = `secure ${string}` | 'not found'
export type Answering = (request: IncomingMessage, response: ServerResponse) => void

export type Row = {
  readonly what: string
  /** TXT records of `_mta-sts`, each as one string or several; default: one good record. */
  readonly texts?: readonly (string | readonly string[])[]
  /** The policy file, or how to misbehave; default: a good one. */
  readonly answer?: string | Answering
  readonly certificate?: 'another name' | 'self-signed' | 'expired' | 'common name only' | 'wildcard'
  /** Record and host are aliases. */
  readonly aliases?: true
  readonly host?: 'without address' | 'nobody listens' | 'cannot be looked up'
  readonly record?: 'cannot be looked up'
  /** Ask as who enforces testing policies, too: to see what was read. */
  readonly strict?: true
  readonly verdict: Verdict
  /** Why it is not found: ours must say so; undefined: nothing to complain of. */
  readonly reason?: 'sts-policy-fetch-error' | 'sts-policy-invalid' | 'sts-webpki-invalid'
  /** Where Debian's differs from ours: what it says, and who is right by which section. */
  readonly theirs?: { readonly verdict: Verdict; readonly because: string }
}

const mx = 'mx.partner.example'
const good: Verdict = `secure ${mx}`
const fine = policyText('enforce', [mx])
const lines = (...all: readonly string[]) => `${all.join('\r\n')}\r\n`
const without = (field: string) => fine.replace(new RegExp(`^${field}:.*\r\n`, 'm'), '')
const invalid = { verdict: 'not found', reason: 'sts-policy-invalid' } as const
const unfetched = { verdict: 'not found', reason: 'sts-policy-fetch-error' } as const
const untrusted = { verdict: 'not found', reason: 'sts-webpki-invalid' } as const
const show =
  (status: number, headers: { readonly [name: string]: string }, body = fine): Answering =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body)
const text = { 'Content-Type': 'text/plain' }
const padded = (length: number) => fine + 'x'.repeat(length - fine.length)

/** The first row is also where the redirect leads: a good policy. */
export const rows: readonly Row[] = [
  { what: 'enforce, one host', verdict: good },
  { what: 'enforce, hosts and a wildcard', answer: policyText('enforce', [mx, '*.wide.example']), verdict: `secure .wide.example:${mx}` },
  { what: 'enforce, capitals in a host name', answer: policyText('enforce', ['MX.Partner.Example']), verdict: good },
  { what: 'testing binds nobody', answer: policyText('testing', [mx]), verdict: 'not found' },
  {
    what: 'testing, for who enforces it',
    answer: policyText('testing', [mx, '*.wide.example']),
    strict: true,
    verdict: `secure .wide.example:${mx}`,
  },
  { what: 'none', answer: policyText('none', [mx]), verdict: 'not found' },
  { what: 'none, without mx', answer: policyText('none', []), strict: true, verdict: 'not found' },

  { what: 'bare line feeds', answer: fine.replaceAll('\r\n', '\n'), verdict: good },
  { what: 'no line end at the end', answer: fine.trimEnd(), verdict: good },
  {
    what: 'any order, unknown fields',
    answer: lines('x-more: 1', `mx: ${mx}`, 'max_age: 9', 'mode: enforce', 'version: STSv1'),
    verdict: good,
  },
  { what: 'no space after colons, some at the ends', answer: fine.replaceAll(': ', ':').replaceAll('\r\n', ' \t\r\n'), verdict: good },
  { what: 'a year', answer: policyText('enforce', [mx], 31_557_600), verdict: good },
  { what: 'a second more than a year', answer: policyText('enforce', [mx], 31_557_601), ...invalid },
  { what: 'max_age 0', answer: policyText('enforce', [mx], 0), verdict: good },
  { what: 'max_age below 0', answer: policyText('enforce', [mx], -1), ...invalid },
  { what: 'max_age in words', answer: fine.replace('86400', 'one day'), ...invalid },
  { what: 'no version', answer: without('version'), ...invalid },
  { what: 'version STSv2', answer: fine.replace('STSv1', 'STSv2'), ...invalid },
  { what: 'no mode', answer: without('mode'), ...invalid },
  { what: 'an unknown mode', answer: policyText('sometimes', [mx]), ...invalid },
  { what: 'a mode in capitals', answer: policyText('ENFORCE', [mx]), ...invalid },
  { what: 'no max_age', answer: without('max_age'), ...invalid },
  { what: 'enforce without mx', answer: policyText('enforce', []), ...invalid },
  { what: 'an empty file', answer: '', ...invalid },
  { what: 'a web page', answer: '<html><title>parked</title></html>', ...invalid },
  { what: 'UTF-8, said so', answer: show(200, { 'Content-Type': 'text/plain; charset=utf-8' }, `${fine}note: grüezi\r\n`), verdict: good },

  { what: 'no record', texts: [], verdict: 'not found' },
  { what: 'a record in several strings', texts: [['v=STSv1; ', 'id=', 'one;']], verdict: good },
  {
    what: 'other TXT records beside it',
    texts: ['v=spf1 -all', 'v=STSv1; id=one', 'v=TLSRPTv1; rua=mailto:x@partner.example'],
    verdict: good,
  },
  { what: 'an extension in the record', texts: ['v=STSv1; id=one; x=y;'], verdict: good },
  { what: 'two records', texts: ['v=STSv1; id=one', 'v=STSv1; id=two'], ...invalid },
  { what: 'a record without id', texts: ['v=STSv1;'], ...invalid },
  { what: 'a record of version 2', texts: ['v=STSv2; id=one'], verdict: 'not found' },
  { what: 'the version not first', texts: ['id=one; v=STSv1'], verdict: 'not found' },
  { what: 'the record cannot be looked up', record: 'cannot be looked up', ...unfetched },
  { what: 'record and host are aliases', aliases: true, verdict: good },

  { what: 'the host has no address', host: 'without address', ...unfetched },
  { what: 'the host cannot be looked up', host: 'cannot be looked up', ...unfetched },
  { what: 'nobody listens', host: 'nobody listens', ...unfetched },
  { what: 'a certificate for another name', certificate: 'another name', ...untrusted },
  { what: 'a self-signed certificate', certificate: 'self-signed', ...untrusted },
  { what: 'an expired certificate', certificate: 'expired', ...untrusted },
  { what: 'a wildcard certificate', certificate: 'wildcard', verdict: good },
  {
    what: 'a redirect to a good policy',
    answer: show(301, { ...text, Location: 'https://mta-sts.p0.example/.well-known/mta-sts.txt' }),
    ...unfetched,
  },
  { what: '404 with a good policy in it', answer: show(404, text), ...unfetched },
  { what: '500', answer: show(500, text), ...unfetched },
  { what: '203 with a good policy in it', answer: show(203, text), ...unfetched },
  { what: '64 KiB', answer: padded(65_536), verdict: good },
  { what: 'an octet more than 64 KiB', answer: show(200, { ...text, 'Content-Length': '65537' }, padded(65_537)), ...invalid },
  {
    what: 'an octet more than 64 KiB, of no told length',
    answer: show(200, { ...text, 'Transfer-Encoding': 'chunked' }, padded(65_537)),
    ...invalid,
  },
  {
    what: 'an answer that breaks off after a whole policy',
    answer: (_request, response) => {
      response.writeHead(200, { ...text, 'Content-Length': '500' }).write(fine)
      setTimeout(() => response.destroy(), 20)
    },
    ...unfetched,
  },
  { what: 'no answer', answer: () => undefined, ...unfetched },

  {
    what: 'a field twice',
    answer: `${fine}mode: none\r\n`,
    verdict: good,
    theirs: {
      verdict: 'not found',
      because: '§3.2: of a repeated field all entries except for the first shall be ignored; it takes the last',
    },
  },
  {
    what: 'a space before the colons',
    answer: fine.replaceAll(': ', ' : '),
    verdict: good,
    theirs: {
      verdict: 'not found',
      because: '§3.2: its grammar has no space there, so it is right by the letter; we forgive it, on the safe side',
    },
  },
  {
    what: 'an mx that is no host name',
    answer: policyText('enforce', ['mx.*.example']),
    ...invalid,
    theirs: { verdict: 'secure mx.*.example', because: '§3.2: mx is a domain, or "*." and a domain; it does not look' },
  },
  {
    what: 'max_age as Python may write it',
    answer: fine.replace('86400', '86_400'),
    ...invalid,
    theirs: { verdict: good, because: '§3.2: 1*10(DIGIT); it takes what its language takes for a number' },
  },
  {
    what: 'UTF-8 in an unknown field, without saying so',
    answer: `${fine}note: grüezi\r\n`,
    verdict: good,
    theirs: { verdict: 'not found', because: '§3.2: values of extension fields may be UTF-8; it reads ASCII unless told' },
  },
  {
    what: 'an empty id',
    texts: ['v=STSv1; id=;'],
    ...invalid,
    theirs: { verdict: good, because: '§3.1: an id is 1*32(ALPHA / DIGIT); it does not look' },
  },
  {
    what: 'an id of more than letters and digits',
    texts: ['v=STSv1; id=2026-11-23;'],
    ...invalid,
    theirs: { verdict: good, because: '§3.1: an id is 1*32(ALPHA / DIGIT); it does not look' },
  },
  {
    what: 'a record of version 1 beside one of version 10',
    texts: ['v=STSv1; id=one', 'v=STSv10; id=ten'],
    verdict: good,
    theirs: { verdict: 'not found', because: '§3.1: records that do not begin with "v=STSv1;" are discarded; it counts them' },
  },
  {
    what: 'a certificate with the name in its common name alone',
    certificate: 'common name only',
    ...untrusted,
    theirs: { verdict: good, because: '§3.3: the certificate must have a subjectAltName with a matching DNS-ID' },
  },
  {
    what: 'a good policy that calls itself a web page',
    answer: show(200, { 'Content-Type': 'text/html' }),
    ...invalid,
  },
]
