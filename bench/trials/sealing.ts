/** How long it takes to seal 25 MB, in this process, as intake does it: in pieces of 64 KiB. */
import { newFileKey, sealer } from '../../src/seal/age.ts'
import { median } from '../statistics.ts'
import type { Trial } from './trial.ts'

const megabytes = 25
const piece = Buffer.alloc(65_536, 'a letter ')

export const sealing: Trial = {
  name: 'sealing',
  about: 'encrypting 25 MB as the spool does',
  run: async () => {
    const times = Array.from({ length: 7 }, sealOnce)
    return [{ trial: 'sealing', name: 'seal 25 MB', value: Math.round(median(times)), unit: 'ms' }]
  },
}

function sealOnce(): number {
  const begun = performance.now()
  const { push, end } = sealer(newFileKey())
  for (let octets = 0; octets < megabytes * 1024 * 1024; octets += piece.length) push(piece)
  end()
  return performance.now() - begun
}
