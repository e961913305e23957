/** The line reader of smtp-server with our own reading of DATA: it hands octets on as they come and waits until they are taken. */
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js'
import { giveBack, singleUse } from '../ops/single-use.ts'

type Next = (error?: Error | null) => void

/** Takes one chunk; resolves with what follows the end of the data, or undefined when more data is to come. */
export type Take = (chunk: Buffer) => Promise<Buffer | undefined>

export class SubmissionStream extends SMTPStream {
  #take: Take | undefined

  /** From the next octet on everything is data, until `take` says where it ended. Must not reject. */
  receive(take: Take): void {
    this.#take = take
    this._dataMode = true
  }

  override _write(chunk: Buffer, encoding: BufferEncoding | 'buffer', next: Next): void {
    const take = this.#take
    if (this.isClosed || !this._dataMode || take === undefined || chunk.length === 0) return super._write(chunk, encoding, next)
    void take(chunk).then((rest) => {
      if (rest === undefined) {
        // Fresh from the socket, which keeps nothing of it.
        giveBack(singleUse(chunk))
        return next()
      }
      this.#take = undefined
      this._dataMode = false
      super._write(rest, 'buffer', next)
    })
  }

  /** A line without its end, when the client hangs up, is no command (RFC 5321 §2.3.8). */
  override _flushData(): void {}
}
