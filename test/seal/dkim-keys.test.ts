/** The DKIM keys as files: closed to others, seen by a running gateway, and of each algorithm the oldest signs. */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { DkimAlgorithm } from '../../src/mail/dkim.ts'
import { type DkimKeys, destroyDkimKey, makeDkimKey, openDkimKeys } from '../../src/seal/dkim-keys.ts'

describe('the DKIM keys', () => {
  let folder: string
  let complaints: string[]
  let keys: DkimKeys
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'letterlock-dkim-')), 'keys')
    complaints = []
    keys = openDkimKeys(folder, (text) => complaints.push(text))
  })
  afterEach(() => rmSync(join(folder, '..'), { recursive: true }))

  const make = async (domain: string, selector: string, algorithm: DkimAlgorithm, createdAt: number) =>
    (await makeDkimKey(folder, { domain, selector, algorithm, createdAt })) ?? assert.fail('the selector is taken')
  const signers = (domain: string) => keys.signersFor(domain).map(({ selector }) => selector)
  const files = () => readdirSync(join(folder, 'dkim')).map((name) => join(folder, 'dkim', name))

  test('are none, without a complaint, where there is no folder', () => {
    assert.deepEqual(keys.all(), [])
    assert.deepEqual(complaints, [])
  })

  test('are files of mode 0600 in a folder of mode 0700, and the same when read again', async () => {
    const made = await make('org.example', 'one', 'ed25519', 1)
    const [file = ''] = files()
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(statSync(join(folder, 'dkim')).mode & 0o777, 0o700)
    assert.ok(keys.all()[0]?.privateKey.equals(made.privateKey))
  })

  test('are of at least 2048 bits when RSA', async () => {
    const { privateKey } = await make('org.example', 'one', 'rsa', 1)
    assert.equal(privateKey.asymmetricKeyDetails?.modulusLength, 2048)
  })

  test('sign with both algorithms, each by its oldest, until that one is removed', async () => {
    const first = await make('org.example', 'z-first', 'ed25519', 1)
    await make('org.example', 'a-second', 'ed25519', 2)
    await make('org.example', 'third', 'rsa', 3)
    assert.deepEqual(signers('org.example'), ['third', 'z-first'])
    await destroyDkimKey(folder, first)
    assert.deepEqual(signers('org.example'), ['third', 'a-second'])
    assert.equal(files().length, 2)
  })

  test('sign for domains below theirs, where those have none of their own, and for nobody else', async () => {
    await make('org.example', 'top', 'ed25519', 1)
    await make('own.org.example', 'own', 'ed25519', 2)
    assert.deepEqual(signers('mail.org.example'), ['top'])
    assert.deepEqual(signers('own.org.example'), ['own'])
    assert.deepEqual(signers('x.own.org.example'), ['own'])
    assert.deepEqual([signers('evilorg.example'), signers('other.example'), signers('example')], [[], [], []])
  })

  test('never share a selector within a domain', async () => {
    await make('org.example', 'one', 'ed25519', 1)
    assert.equal(await makeDkimKey(folder, { domain: 'org.example', selector: 'one', algorithm: 'rsa', createdAt: 2 }), undefined)
    await make('other.example', 'one', 'ed25519', 3)
    await make('org.example', '2-one', 'ed25519', 4)
    assert.equal(files().length, 3)
  })

  test('that are damaged or open to others do not sign, and are told of once', async () => {
    await make('org.example', 'open', 'ed25519', 1)
    await make('org.example', 'damaged', 'ed25519', 2)
    await make('org.example', 'good', 'ed25519', 3)
    const [open = '', damaged = ''] = files()
    chmodSync(open, 0o640)
    writeFileSync(damaged, readFileSync(damaged, 'latin1').replace(/\n.{20}/, '\n'))
    assert.deepEqual(signers('org.example'), ['good'])
    keys.all()
    assert.equal(complaints.length, 2)
    assert.match(complaints.join('\n'), /open@org\.example\.pem[\s\S]*chmod 600[\s\S]*damaged@org\.example\.pem is damaged/)
    assert.doesNotMatch(complaints.join('\n'), /PRIVATE KEY|MC4C/)
  })
})
