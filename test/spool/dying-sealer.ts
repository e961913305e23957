/** The thread that seals, ending all at once with the second part that it is given: for handover.test.ts. */
import { parentPort } from 'node:worker_threads'
import '../../src/seal/sealing-thread-worker.ts'

let parts = 0
parentPort?.on('message', ({ kind }: { kind: string }) => {
  if (kind === 'push' && ++parts === 2) process.exit(1)
})
