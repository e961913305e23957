/** Mail that is easily damaged on its way, and the scenario that every foreign server must pass. */
import assert from 'node:assert/strict'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { listLetters } from '../../src/delivery/trace.ts'
import { createAuthority } from '../../src/demo/authority.ts'
import { eventually, type World } from '../stories/world.ts'
import type { Maildir } from './maildir.ts'

/** 8-bit octets, long lines, dots, trailing blanks, empty lines at the end. `longest`: octets of the longest line, CRLF not counted. */
export function delicate(id: string, to: string, longest = 998): Buffer {
  const head = [
    'From: Anna <a@org.example>',
    `To: ${to}`,
    'Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= and',
    '\tfolded  twice   with\ttabs',
    `Message-ID: <${id}@org.example>`,
    'Date: Mon, 13 Jul 2026 09:00:00 +0200',
    'X-Odd:    spaces kept   ',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
  ]
  const body = [
    'Grüße — ☃',
    '.',
    '..',
    '...',
    '.dot first',
    'From the beginning',
    'x'.repeat(longest),
    `${'ß'.repeat(400)}`,
    'trailing  \t ',
    '',
    '',
  ]
  return Buffer.from(`${[...head, '', ...body].join('\r\n')}\r\n`)
}

/** What stands after the trace fields that servers put before a message; these may be several lines each. */
export function withoutTrace(mail: Buffer): Buffer {
  const text = mail.toString('latin1')
  const trace = /^(?:(?:Return-Path|Received|Delivered-To|X-Original-To|X-Letterlock-[A-Za-z-]+):.*\r\n(?:[ \t].*\r\n)*)+/.exec(text)
  return mail.subarray(trace?.[0].length ?? 0)
}

/** Equal, or the place of the first difference: the whole would fill the screen. */
export function sameOctets(actual: Buffer, expected: Buffer): void {
  if (actual.equals(expected)) return
  let at = 0
  while (actual[at] === expected[at]) at++
  const around = (bytes: Buffer) => JSON.stringify(bytes.subarray(Math.max(0, at - 40), at + 40).toString('latin1'))
  assert.fail(`octet ${at} differs: came ${around(actual)} (${actual.length}), was ${around(expected)} (${expected.length})`)
}

/** A CA that the world's gateway trusts beside its own. To be called before its first delivery, when the list is read. */
export async function trustedAuthority(world: World) {
  const authority = await createAuthority('Peer Root')
  await appendFile(world.settings['tls.ca'] ?? join(world.settings.data, 'none'), `\n${authority.cert}`)
  return authority
}

/** Domains whose MX host `mx.<domain>` has this address. */
export function pointTo(world: World, addresses: { readonly [domain: string]: string }): void {
  for (const [domain, address] of Object.entries(addresses)) {
    world.dns.set(domain, { records: [{ type: 'MX', data: { preference: 10, exchange: `mx.${domain}` } }] })
    world.dns.set(`mx.${domain}`, { records: [{ type: 'A', data: address }] })
  }
}

/** The message goes by this method over such a channel, and is there, octet by octet. */
export async function arrivesIntact(
  { world, maildir }: { readonly world: World; readonly maildir: Maildir },
  to: string,
  [method, assurance]: readonly [string, string],
  longest?: number,
): Promise<Buffer> {
  const mail = delicate(`intact-${to}`, to, longest)
  const id = await world.send({ envelope: { from: 'a@org.example', to: [to] }, raw: mail })
  const { recipients } = await world.settled(id)
  assert.deepEqual(
    recipients.map((one) => [one.state, one.method, one.assurance]),
    [['delivered', method, assurance]],
    JSON.stringify(recipients),
  )
  const stored = await maildir.arrival(`<intact-${to}@org.example>`)
  sameOctets(withoutTrace(stored), mail)
  return stored
}

/** No channel that suffices: the message becomes a letter, and only the notice arrives. */
export async function becomesLetter(
  { world, maildir }: { readonly world: World; readonly maildir: Maildir },
  to: string,
  reason: string,
): Promise<Buffer> {
  const canary = `Kanarienvogel-${to}`
  const id = await world.send({ from: 'a@org.example', to, subject: `${canary}-subject`, text: `${canary}-body` })
  const { recipients } = await world.settled(id)
  assert.deepEqual(
    recipients.map(({ state, method, reason: why }) => [/^letter/.test(state), method, why]),
    [[true, 'escrow', reason]],
    JSON.stringify(recipients),
  )
  const notice = await maildir.arrival(`To: ${to}`)
  assert.match(notice.toString(), /\/m\/[0-9a-z]{32}/)
  await eventually('the notice to be settled', async () =>
    (await listLetters(world.db)).find((letter) => JSON.stringify(letter).includes(to) && letter.state === 'letter-notified'),
  )
  assert.ok(!(await maildir.all()).some((mail) => mail.includes(canary)), 'nothing of the message itself is there')
  return notice
}
