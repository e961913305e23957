/** The thread that reads mails: hostile input costs it its life, never the program's. */
import { serveJobs } from '../../../ops/threads.ts'
import type { Job, LetterContent } from './content.ts'
import { readLetter } from './read-mail.ts'

serveJobs<Job, LetterContent>(async (job) => ({ result: await readLetter(job) }))
