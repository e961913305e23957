/** A thread that seals, whose first answer cannot be read: for sealing-thread.test.ts. */
import { parentPort } from 'node:worker_threads'

parentPort?.once('message', () => {
  const lost = new Uint8Array(20_000)
  structuredClone(undefined, { transfer: [lost.buffer] })
  parentPort?.postMessage({ sealed: lost }, [lost.buffer])
})
