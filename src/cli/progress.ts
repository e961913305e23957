/** A line on a terminal that tells how far a long command is: count, rate, time left. Nothing where nobody watches. */

export type Progress = {
  /** `total` may be an upper bound. */
  readonly show: (done: number, total: number) => void
  /** Take the line away. */
  readonly end: () => void
}

const width = 24
/** Milliseconds between two drawings. */
const calm = 100

export function startProgress(
  what: string,
  stream: { readonly isTTY?: boolean; write: (text: string) => unknown } = process.stderr,
  clock: () => number = () => performance.now(),
): Progress {
  if (stream.isTTY !== true) return { show: () => undefined, end: () => undefined }
  const started = clock()
  let drawn = Number.NEGATIVE_INFINITY
  return {
    show: (done, total) => {
      const now = clock()
      if (now - drawn < calm) return
      drawn = now
      stream.write(`\r\u001b[K${progressLine(what, done, Math.max(done, total), now - started)}`)
    },
    end: () => void stream.write('\r\u001b[K'),
  }
}

/** `[######      ] 25,000 of 100,000 decisions, 9,800/s, 8 s left`. `spent` in milliseconds. */
export function progressLine(what: string, done: number, total: number, spent: number): string {
  const full = total === 0 ? width : Math.round((done / total) * width)
  const rate = spent > 0 ? (done / spent) * 1000 : 0
  const left = rate > 0 ? `, ${Math.round(rate).toLocaleString('en')}/s, ${Math.ceil((total - done) / rate)} s left` : ''
  return `[${'#'.repeat(full)}${' '.repeat(width - full)}] ${done.toLocaleString('en')} of ${total.toLocaleString('en')} ${what}${left}`
}
