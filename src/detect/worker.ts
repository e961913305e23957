/** The thread that looks into mails: hostile input costs it its life, never the program's. */
import { serveJobs } from '../ops/threads.ts'
import type { Piece } from './collect.ts'
import { textOf, visible } from './decode.ts'
import { type Found, type Looked, look } from './look.ts'
import { warmUp } from './warm.ts'

/** `pieces` lose their memory to the thread. */
export type Job = { readonly subjects: readonly string[]; readonly pieces: readonly Piece[]; readonly detectors: readonly Looked[] }

warmUp()

serveJobs<Job, readonly Found[]>(async ({ subjects, pieces, detectors }) => {
  const subject = subjects.map((text, i) => ({ place: i === 0 ? 'subject' : 'subject of a mail inside', text: visible(text) }))
  const texts = pieces.map((piece) => ({ place: piece.place, text: textOf({ ...piece, bytes: Buffer.from(piece.bytes) }) }))
  return { result: look([...subject, ...texts], detectors) }
})
