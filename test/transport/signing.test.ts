/** The wall around the transport that signs: what it signs, what it leaves alone, and that it never holds a message. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type DestinationStream, pino } from 'pino'
import { publicRecord, recordName } from '../../src/mail/dkim.ts'
import { type DkimKey, type DkimKeys, makeDkimKey, openDkimKeys } from '../../src/seal/dkim-keys.ts'
import { type SigningParts, signing } from '../../src/transport/signing.ts'
import type { Shipment, Transport } from '../../src/transport/transport.ts'
import { dkimpy, verifyDkim } from '../world/dkim.ts'

let folder: string
let key: DkimKey
let keys: DkimKeys
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'letterlock-signing-'))
  key =
    (await makeDkimKey(folder, { domain: 'org.example', selector: 's', algorithm: 'ed25519', createdAt: 1 })) ??
    assert.fail('selector taken')
  keys = openDkimKeys(folder, (text) => assert.fail(text))
})
after(() => rmSync(folder, { recursive: true }))

const message = 'From: a@org.example\r\nSubject: x\r\n\r\nHello\r\n'

/** What the transport behind the wall is given for a shipment of this content. */
async function shipped(given: Pick<Shipment, 'open' | 'sign' | 'whole'>, parts: Partial<SigningParts> = {}) {
  let seen: Shipment | undefined
  const behind: Transport = {
    ship: async (shipment) => {
      seen = shipment
      return new Map()
    },
    refreshSts: async () => 0,
    close: async () => {},
  }
  const wall = signing(behind, {
    ...{ keys, clock: () => 1_790_000_000_000, log: pino({ level: 'silent' }) },
    settings: { 'organisation.domains': [], 'dkim.signUnsigned': false },
    ...parts,
  })
  await wall.ship({
    ...{
      domain: 'lab.example',
      need: { kind: 'notice' },
      reversePath: '',
      recipients: [],
      envelope: { body: '7bit', smtpUtf8: false } as const,
      size: message.length,
    },
    ...{ signal: new AbortController().signal, ...given },
  })
  return seen ?? assert.fail('nothing was shipped')
}

async function bytes(shipment: Shipment): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of shipment.open() as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const from = (text: string, size = text.length) =>
  Readable.from(text.match(new RegExp(`[^]{1,${size}}`, 'g'))?.map((part) => Buffer.from(part)) ?? [])
const settings = { 'organisation.domains': [], 'dkim.signUnsigned': true }

describe('the signing transport', () => {
  test('what it signs leaves as the stream it made, not as the bytes that were in memory', async () => {
    const shipment = await shipped({ open: () => from(message), whole: Buffer.from(message), sign: 'always' })
    assert.equal(shipment.whole, undefined)
    assert.match((await bytes(shipment)).toString(), /^DKIM-Signature:/)
  })

  test('puts a good signature in front, announces its size too, and gives the same bytes each time', dkimpy, async () => {
    for (const size of [1, 3, message.length]) {
      const shipment = await shipped({ open: () => from(message, size), sign: 'always' })
      const content = await bytes(shipment)
      assert.equal(content.length, shipment.size)
      assert.ok(content.toString().endsWith(message))
      assert.deepEqual(await bytes(shipment), content)
      assert.deepEqual(
        verifyDkim(content, { [recordName(key)]: publicRecord(key) }).map(({ valid }) => valid),
        [true],
      )
    }
  })

  test('does not even open what is not to be signed', async () => {
    const open = () => assert.fail('it was opened')
    assert.equal((await shipped({ open })).size, message.length)
    await shipped({ open, sign: 'unless-signed' })
    await shipped({ open, sign: 'always' }, { keys: openDkimKeys(join(folder, 'nothing'), () => {}) })
  })

  for (const [what, content] of [
    ['of an author without a key', message.replace('org.example', 'other.example')],
    ['with two From fields', `From: b@org.example\r\n${message}`],
    ['without a From field', message.replace('From:', 'X-From:')],
    ['that never ends its header', 'From: a@org.example\r\n'],
  ] as const)
    test(`leaves a message ${what} unsigned`, async () => {
      assert.equal((await bytes(await shipped({ open: () => from(content), sign: 'always' }))).toString(), content)
    })

  test('looks for a signature of the author only where the mail is not ours', async () => {
    const signedBefore = `DKIM-Signature: v=1; d=mail.org.example; b=x\r\n${message}`
    const open = () => from(signedBefore)
    assert.equal((await bytes(await shipped({ open, sign: 'unless-signed' }, { settings }))).toString(), signedBefore)
    assert.match((await bytes(await shipped({ open, sign: 'always' }, { settings }))).toString(), /^DKIM-Signature: v=1; a=ed25519-sha256/)
    assert.match(
      (await bytes(await shipped({ open: () => from(message), sign: 'unless-signed' }, { settings }))).toString(),
      /^DKIM-Signature/,
    )
  })

  test('takes the tags of the policy out of a subject that it signs for others, and signs what is left', dkimpy, async () => {
    const tags = async () => ['secure', 'geheim']
    const subject = async (given: string, sign: Shipment['sign'] = 'unless-signed') => {
      const shipment = await shipped({ open: () => from(message.replace('Subject: x', given), 7), sign }, { settings, tags })
      const content = await bytes(shipment)
      assert.equal(shipment.size - message.length, content.length - message.replace('Subject: x', given).length)
      assert.deepEqual(
        verifyDkim(content, { [recordName(key)]: publicRecord(key) }).map(({ valid }) => valid),
        [true],
      )
      assert.ok(content.toString().endsWith('\r\n\r\nHello\r\n'))
      return content.toString().match(/^Subject: .*/m)?.[0]
    }
    assert.equal(await subject('Subject: [secure] Results'), 'Subject: Results')
    assert.equal(
      await subject('Subject: =?utf-8?Q?[Geheim]_Gr=C3=BC=C3=9Fe?='),
      `Subject: =?utf-8?B?${Buffer.from('Grüße').toString('base64')}?=`,
    )
    assert.equal(await subject('Subject: [other]   =?us-ascii?Q?x?='), 'Subject: [other]   =?us-ascii?Q?x?=')
    assert.equal(await subject('Subject: [secure] ours', 'always'), 'Subject: [secure] ours')
    const foreign = message.replace('Subject: x', 'DKIM-Signature: v=1; d=list.example; b=x\r\nSubject: [secure] x')
    assert.match(
      (await bytes(await shipped({ open: () => from(foreign), sign: 'unless-signed' }, { settings, tags }))).toString(),
      /\[secure\] x/,
    )
  })

  test('re-encodes for a server without 8BITMIME what it signs, and signs that', dkimpy, async () => {
    const eight =
      'From: a@org.example\r\nSubject: [secure] x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n'
    const open = () => Readable.from([Buffer.from(eight)])
    const shipment = await shipped({ open, sign: 'unless-signed' }, { settings, tags: async () => ['secure'] })
    const mended = (await shipment.sevenBit?.()) ?? assert.fail('no rendering')
    assert.ok(mended.kind === 'mended' && mended.changed)
    for (const rendering of [shipment, { ...shipment, ...mended }]) {
      const content = await bytes(rendering)
      assert.match(content.toString(), /^Subject: x\r$/m)
      assert.deepEqual(
        verifyDkim(content, { [recordName(key)]: publicRecord(key) }).map(({ valid }) => valid),
        [true],
      )
    }
    const seven = await bytes({ ...shipment, ...mended })
    assert.equal(seven.length, mended.size)
    assert.ok(seven.every((octet) => octet < 0x80))
    assert.ok(seven.toString().endsWith('\r\n\r\nGr=C3=BC=C3=9Fe\r\n'))
  })

  test('does not re-encode what others have signed, though it signs it too', async () => {
    const foreign = `DKIM-Signature: v=1; d=list.example; b=x\r\n${message.replace('Hello', 'Grüße')}`
    const shipment = await shipped({ open: () => Readable.from([Buffer.from(foreign)]), sign: 'unless-signed' }, { settings })
    assert.match((await bytes(shipment)).toString(), /^DKIM-Signature: v=1; a=ed25519/)
    assert.deepEqual(await shipment.sevenBit?.(), { kind: 'unmendable', why: 'it is signed' })
  })

  test('hands content that cannot be read to the transport as it is, which knows what to say', async () => {
    const open = () => Readable.from(failing())
    const shipment = await shipped({ open, sign: 'always' })
    assert.equal(shipment.size, message.length)
    await assert.rejects(bytes(shipment), /altered/)
  })

  test('holds nothing of a large message', async () => {
    const total = 32 * 1024 * 1024
    const chunk = 64 * 1024
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const large = function* () {
      yield Buffer.from('From: a@org.example\r\n\r\n')
      for (let made = 0; made < total; made += chunk) {
        if (made % (2 * 1024 * 1024) === 0) collect()
        if (made % (2 * 1024 * 1024) === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before)
        yield Buffer.alloc(chunk, 'abc \r\n')
      }
    }
    const shipment = await shipped({ open: () => Readable.from(large(), { objectMode: false }), sign: 'always' })
    assert.ok(shipment.size > message.length)
    assert.ok(most < total / 8, `${most} bytes were held`)
  })

  test('says at the start which domains of the organisation have no key', async () => {
    const lines: string[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) } satisfies DestinationStream)
    const own = { 'organisation.domains': ['mail.org.example', 'other.example'], 'dkim.signUnsigned': false }
    await shipped({ open: () => from(message) }, { log, settings: own })
    assert.equal(lines.length, 1)
    assert.match(lines[0] ?? '', /"domains":\["other\.example"\].*keys dkim create/)
  })
})

function* failing(): Generator<Buffer> {
  yield Buffer.from(message)
  throw new Error('the payload was altered')
}
