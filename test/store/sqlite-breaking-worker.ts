/** The thread that writes to SQLite, made to break before it looks at a write that says how. */
import { parentPort } from 'node:worker_threads'
import type { Asked } from '../../src/store/sqlite-messages.ts'
import '../../src/store/sqlite-thread-worker.ts'

parentPort?.on('message', (asked: Asked) => {
  const values = 'packed' in asked ? asked.packed.flat : []
  if (values.includes('throws')) throw new Error('broken')
  if (values.includes('ends')) process.exit(1)
})
