/** The worker that reads mails: one job at a time; whoever started it ends it when it takes too long. */
import { parentPort } from 'node:worker_threads'
import type { Job, JobAnswer } from './content.ts'
import { readFile, readLetter } from './read-mail.ts'

const port = parentPort
if (!port) throw new Error('reading/worker runs as a worker thread only')

const answer = (message: JobAnswer, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)

port.on('message', (job: Job) => {
  perform(job).catch((error: unknown) => answer({ kind: 'unreadable', because: error instanceof Error ? error.name : 'unknown' }))
})
answer({ kind: 'ready' })

async function perform(job: Job): Promise<void> {
  if (job.kind === 'letter') return answer({ kind: 'letter', content: await readLetter(job.bytes) })
  const file = await readFile(job.bytes, job.number)
  if (!file) return answer({ kind: 'no-such-file' })
  answer({ kind: 'file', name: file.name, bytes: file.bytes }, [file.bytes])
}
