/** A content in a blob as it is read on its way out. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { hasPlainLines } from '../../src/mail/plain-lines.ts'
import { newFileKey, SealBroken, sealer } from '../../src/seal/age.ts'
import { clearOfBlob } from '../../src/spool/content.ts'
import { openBlobs } from '../../src/store/blobs-fs.ts'

const folder = mkdtempSync(join(tmpdir(), 'letterlock-content-'))
after(() => rmSync(folder, { recursive: true }))
const blobs = openBlobs(join(folder, 'blobs'))
const fileKey = newFileKey()

async function stored(clear: Buffer, change: (sealed: Buffer) => Buffer = (sealed) => sealed): Promise<string> {
  const sealing = sealer(fileKey)
  const writer = blobs.write()
  await writer.write(change(Buffer.concat([...sealing.push(clear), ...sealing.end()])))
  return (await writer.finish()).name
}

test('it comes back as often as wanted, whatever became of the pieces read before', async () => {
  const clear = randomBytes(700_000)
  const { open } = clearOfBlob(blobs, await stored(clear), fileKey)
  for (let i = 0; i < 2; i++) assert.ok(Buffer.concat(await open().toArray()).equals(clear))
})

test('only of one whose lines were judged when it came in are the pieces known to be judged', async () => {
  const name = await stored(Buffer.alloc(700_000, `${'x'.repeat(70)}\r\n`))
  for (const judged of [true, false]) {
    const pieces: Buffer[] = await clearOfBlob(blobs, name, fileKey, judged).open().toArray()
    assert.ok(pieces.length > 1)
    assert.ok(pieces.every((piece) => hasPlainLines(piece) === judged))
  }
})

test('one that was altered or cut gives an error, judged or not', async () => {
  const turned = await stored(randomBytes(700_000), (sealed) => sealed.fill((sealed[500_000] as number) ^ 1, 500_000, 500_001))
  const cut = await stored(randomBytes(700_000), (sealed) => sealed.subarray(0, 400_000))
  for (const name of [turned, cut]) await assert.rejects(clearOfBlob(blobs, name, fileKey, true).open().toArray(), SealBroken)
})

test('one that is not there errors for whoever reads it, however late, and for nobody else', async () => {
  const name = await stored(randomBytes(700_000))
  await blobs.remove(name)
  const late = clearOfBlob(blobs, name, fileKey).open()
  await pause(50) // an error that nobody hears would end the program, here the test
  await assert.rejects(late.toArray(), { code: 'ENOENT' })
})

test(
  'one that is given up unread or half read holds no file open',
  { skip: process.platform === 'linux' ? false : 'needs /proc' },
  async () => {
    const { open } = clearOfBlob(blobs, await stored(randomBytes(700_000)), fileKey)
    open().destroy()
    const begun = open()
    for await (const _ of begun) break
    await pause(50)
    assert.deepEqual(openFilesBelow(folder), [])
  },
)

const openFilesBelow = (place: string) =>
  readdirSync('/proc/self/fd')
    .map((descriptor) => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`)
      } catch {
        return '' // of the listing itself
      }
    })
    .filter((path) => path.startsWith(place))
