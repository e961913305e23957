/** The worker that reads mails: one job at a time; whoever started it ends it when it takes too long. */
import { parentPort } from 'node:worker_threads'
import type { Job, JobAnswer } from './content.ts'
import { readLetter } from './read-mail.ts'

const port = parentPort
if (!port) throw new Error('reading/worker runs as a worker thread only')

const answer = (message: JobAnswer) => port.postMessage(message)

port.on('message', (job: Job) => {
  readLetter(job).then(
    (content) => answer({ kind: 'letter', content }),
    (error: unknown) => answer({ kind: 'unreadable', because: error instanceof Error ? error.name : 'unknown' }),
  )
})
answer({ kind: 'ready' })
