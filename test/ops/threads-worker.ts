/** The thread of threads.test.ts: does what it is told, good or bad. */
import { serveJobs } from '../../src/ops/threads.ts'

export type Told = {
  readonly do: 'echo' | 'spin' | 'eat' | 'throw' | 'exit' | 'environment'
  readonly bytes?: ArrayBuffer
  readonly wait?: number
}

serveJobs(async (told: Told) => {
  if (told.wait !== undefined) await new Promise((resolve) => setTimeout(resolve, told.wait))
  if (told.do === 'spin') for (;;);
  if (told.do === 'eat') for (const eaten: string[] = []; ; ) eaten.push(JSON.stringify({ eaten: Math.random() }).repeat(100))
  if (told.do === 'throw') throw new RangeError('a text that quotes the content')
  if (told.do === 'exit') process.exit(3)
  const result = told.bytes ?? JSON.stringify(told.do === 'environment' ? process.env : told)
  return { result, transfer: told.bytes === undefined ? [] : [told.bytes] }
})
