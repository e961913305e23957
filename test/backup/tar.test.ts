import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { isFileName, readManifest } from '../../src/backup/manifest.ts'
import { ArchiveBroken, readTar, type TarFile, writeTar } from '../../src/backup/tar.ts'
import { verifyArchive } from '../../src/backup/verify.ts'

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function* files(contents: { readonly [name: string]: Buffer }): AsyncGenerator<TarFile> {
  for (const [name, bytes] of Object.entries(contents)) yield { name, size: bytes.length, content: pieces(bytes, 1000) }
}

async function whole(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const archiveOf = (contents: { readonly [name: string]: Buffer }) => whole(writeTar(files(contents), Date.UTC(2026, 0, 2)))

const some = {
  'keys/mac.key': Buffer.from('secret\n'),
  'blobs/00': Buffer.alloc(5000, 'x'),
  empty: Buffer.alloc(0),
  even: Buffer.alloc(1024, 'y'),
}

describe('archives', () => {
  test('give back what was put in, however the bytes arrive', async () => {
    const archive = await archiveOf(some)
    for (const size of [1, 511, 512, 513, 100_000]) {
      const found: { [name: string]: Buffer } = {}
      for await (const file of readTar(pieces(archive, size))) found[file.name] = await whole(file.content)
      assert.deepEqual(found, some)
    }
  })

  test('are read by tar itself', async (t) => {
    const listed = spawnSync('tar', ['-tv'], { input: await archiveOf(some) })
    if (listed.error) return t.skip('there is no tar')
    assert.equal(listed.status, 0, String(listed.stderr))
    const lines = String(listed.stdout).trim().split('\n')
    assert.deepEqual(
      lines.map((line) => line.split(/\s+/).at(-1)),
      Object.keys(some),
    )
    assert.ok(lines.every((line) => line.startsWith('-rw-------')))
  })

  test('skip what is not read of a file', async () => {
    const names: string[] = []
    for await (const { name } of readTar(pieces(await archiveOf(some), 700))) names.push(name)
    assert.deepEqual(names, Object.keys(some))
  })

  test('that are cut off anywhere are refused', async () => {
    const archive = await archiveOf(some)
    for (let length = 0; length < archive.length - 1024; length += 300)
      await assert.rejects(async () => {
        for await (const file of readTar(pieces(archive.subarray(0, length), 4096))) await whole(file.content)
      }, ArchiveBroken)
  })

  test('with a file of more than 8 GiB keep its size', async () => {
    const size = 9 * 2 ** 30
    const huge = (async function* () {
      yield { name: 'huge', size, content: pieces(Buffer.alloc(0), 1) }
    })()
    const [header] = [(await writeTar(huge, 0).next()).value as Buffer]
    for await (const file of readTar(pieces(header, 512))) {
      assert.equal(file.size, size)
      break
    }
  })

  test('are no backup without a manifest, with a strange name, or with one of a newer program', async () => {
    await assert.rejects(verifyArchive(pieces(await archiveOf({ 'database.sqlite': Buffer.alloc(3) }), 512)), /no manifest/)
    await assert.rejects(verifyArchive(pieces(await archiveOf({ '../evil': Buffer.alloc(3) }), 512)), /that no backup has/)
    assert.throws(() => readManifest('{"format":2}'), /format 2, and this program knows 1/)
    assert.throws(() => readManifest('no JSON'), /manifest cannot be read/)
    for (const name of ['/etc/passwd', 'keys/../x', 'keys/.x', 'blobs/../../x', 'keys/a/b', 'database.sqlite/'])
      assert.ok(!isFileName(name), name)
  })
})
