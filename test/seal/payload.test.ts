/** The payload stream: everything comes back, nothing that was changed does, and memory stays small. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { newFileKey, opener, openPayload, payloadSize, SealBroken, sealer, sealPayload } from '../../src/seal/age.ts'

const borders = [0, 1, 15, 16, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073]
const key = newFileKey()

const seal = (clear: Buffer, cuts: readonly number[] = []): Buffer => {
  const sealing = sealer(key)
  return Buffer.concat([...pieces(clear, cuts).flatMap((piece) => sealing.push(piece)), ...sealing.end()])
}

const open = (sealed: Buffer, cuts: readonly number[] = [], fileKey = key): Buffer => {
  const opening = opener(fileKey)
  return Buffer.concat([...pieces(sealed, cuts).flatMap((piece) => [...opening.push(piece)]), ...opening.end()])
}

/** `bytes` cut at these places. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end))
}

describe('the payload', () => {
  for (const size of borders) {
    it(`of ${size} bytes comes back, and has the size foretold`, () => {
      const clear = randomBytes(size)
      const sealed = seal(clear)
      assert.equal(sealed.length, payloadSize(size))
      assert.ok(open(sealed).equals(clear))
    })
  }

  it('comes back however it was cut on its way in and out', () => {
    const size = fc.oneof(fc.constantFrom(...borders), fc.nat(200_000))
    const cuts = fc.array(fc.oneof(fc.nat(300_000), fc.constantFrom(...borders, 65_552, 65_568, 131_104)), { maxLength: 12 })
    fc.assert(
      fc.property(size, cuts, cuts, (length, cutsIn, cutsOut) => {
        const clear = Buffer.alloc(length, 'letter')
        return open(seal(clear, cutsIn), cutsOut).equals(clear)
      }),
      { numRuns: 150 },
    )
  })

  it('is another one each time', () => {
    assert.notDeepEqual(seal(Buffer.from('same')), seal(Buffer.from('same')))
  })

  it('takes its own copy: the caller may use its buffer again', () => {
    const sealing = sealer(key)
    const reused = Buffer.from('first')
    const out = sealing.push(reused)
    reused.fill('x')
    assert.equal(open(Buffer.concat([...out, ...sealing.end()])).toString(), 'first')
  })

  it('does not open with another file key', () => {
    assert.throws(() => open(seal(Buffer.from('x')), [], newFileKey()), SealBroken)
  })

  for (const size of [0, 1, 65_536, 65_537, 131_072]) {
    const sealed = seal(randomBytes(size))
    const chunks = [16, 32, 48, 16 + 65_536, 16 + 65_552, 32 + 65_552, 16 + 2 * 65_552]
    const places = [0, 8, ...chunks, sealed.length]
    const offsets = [...new Set(places.flatMap((place) => [place - 1, place, place + 1]))].filter((at) => at >= 0 && at < sealed.length)

    it(`of ${size} bytes refuses to end early, at any of ${offsets.length} places`, () => {
      for (const at of offsets) assert.throws(() => open(sealed.subarray(0, at)), SealBroken, `cut at ${at}`)
    })

    it(`of ${size} bytes refuses a changed bit, at any of ${offsets.length} places`, () => {
      for (const at of offsets) {
        for (const bit of [1, 128]) {
          const changed = Buffer.from(sealed)
          changed.writeUInt8(changed.readUInt8(at) ^ bit, at)
          assert.throws(() => open(changed), SealBroken, `bit ${bit} of byte ${at}`)
        }
      }
    })

    it(`of ${size} bytes refuses bytes behind its end`, () => {
      for (const extra of [1, 15, 16, 17, 65_536, 65_552, 65_553]) {
        assert.throws(() => open(Buffer.concat([sealed, Buffer.alloc(extra)])), SealBroken, `${extra} more`)
      }
      assert.throws(() => open(Buffer.concat([sealed, sealed])), SealBroken)
    })
  }

  it('refuses chunks that changed places, were repeated or left out', () => {
    const sealed = seal(randomBytes(4 * 65_536))
    const nonce = sealed.subarray(0, 16)
    const chunk = (i: number) => sealed.subarray(16 + i * 65_552, 16 + (i + 1) * 65_552)
    for (const order of [[1, 0, 2, 3], [0, 1, 1, 2, 3], [0, 2, 3], [0, 1, 3], [3], [0, 1, 2], [0, 1, 2, 3, 3]]) {
      assert.throws(() => open(Buffer.concat([nonce, ...order.map(chunk)])), SealBroken, order.join())
    }
    assert.equal(open(Buffer.concat([nonce, ...[0, 1, 2, 3].map(chunk)])).length, 4 * 65_536)
  })
})

describe('the payload as streams', () => {
  it('come back through both', async () => {
    const clear = randomBytes(300_001)
    const parts = pieces(clear, [1, 65_536, 65_537, 200_000])
    const back = Readable.from(parts).compose(sealPayload(key)).compose(openPayload(key))
    assert.ok((await buffer(back)).equals(clear))
  })

  it('fail with SealBroken, and never end, when the payload was cut or changed', async () => {
    const sealed = seal(randomBytes(200_000))
    const changed = Buffer.from(sealed)
    changed.writeUInt8(changed.readUInt8(150_000) ^ 1, 150_000)
    for (const broken of [sealed.subarray(0, 150_000), sealed.subarray(0, 10), Buffer.alloc(0), changed, Buffer.concat([sealed, sealed])]) {
      await assert.rejects(buffer(Readable.from(pieces(broken, [70_000])).compose(openPayload(key))), SealBroken)
    }
  })

  it('never run ahead of a slow reader by more than a few chunks', async () => {
    const total = 300 * 65_536
    let given = 0
    let taken = 0
    let furthest = 0
    const source = Readable.from(
      (function* () {
        for (; given < total; given += 65_536) yield Buffer.alloc(65_536, 1)
      })(),
    )
    const slow = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, done) {
        taken += chunk.length
        furthest = Math.max(furthest, given - taken)
        turn().then(() => done())
      },
    })
    await pipeline(source, sealPayload(key), openPayload(key), slow)
    assert.equal(taken, total)
    // Readable.from reads 16 objects ahead; the rest is ours.
    assert.ok(furthest <= 32 * 65_536, `${furthest} bytes were under way`)
  })

  it('seal and open 25 MB in well under a second', async () => {
    const sealing = sealer(key)
    const clear = Buffer.alloc(32_768, 7)
    const began = performance.now()
    const sealed: Buffer[] = []
    for (let i = 0; i < 800; i++) sealed.push(...sealing.push(clear))
    sealed.push(...sealing.end())
    const opening = opener(key)
    for (const piece of sealed) for (const _clear of opening.push(piece));
    assert.equal([...opening.end()].length, 1)
    const took = performance.now() - began
    assert.ok(took < 10000, `it took ${Math.round(took)} ms`) // 40 to 100 ms on a quiet machine
  })
})
