/** The thread that writes to SQLite: takes what was asked for since it last looked as one group, and answers it together. */
import { parentPort } from 'node:worker_threads'
import { armFailpoint } from '../ops/failpoint.ts'
import { openConnection } from './sqlite-connection.ts'
import { type Answer, type Asked, type Opening, type Outcome, packError, packRows, unpacker } from './sqlite-messages.ts'
import { writeHere } from './sqlite-writer.ts'

const port = parentPort
if (port === null) throw new Error('this file runs in a worker thread only')

port.once('message', ({ path, failpoint }: Opening) => {
  armFailpoint(failpoint)
  const unpack = unpacker()
  let writer: ReturnType<typeof writeHere> | undefined
  const opened = () => {
    writer ??= writeHere(openConnection(path))
    return writer
  }
  let answers: Answer[] = []

  /** What a group brings about is said together, once the last of it was answered. */
  const answer = (number: number, outcomes: Answer['outcomes']) => {
    if (answers.push({ number, outcomes }) > 1) return
    queueMicrotask(() => {
      port.postMessage(answers)
      answers = []
    })
  }
  const write = (number: number, writes: ReturnType<typeof unpack>) => {
    const outcomes: Outcome[] = []
    let left = writes.length
    const settle = (index: number, outcome: Outcome) => {
      outcomes[index] = outcome
      left -= 1
      if (left === 0) answer(number, outcomes)
    }
    const { ask } = opened()
    writes.forEach((statements, index) => {
      ask({ statements, done: (rows) => settle(index, packRows(rows)), fail: (error) => settle(index, packError(error)) })
    })
  }
  const take = async (asked: Asked): Promise<void> => {
    switch (asked.kind) {
      case 'write':
        return write(asked.number, unpack(asked.packed))
      case 'empty-log':
        await opened().emptyLog()
        return answer(asked.number, [0])
      case 'close':
        await writer?.close()
        return answer(asked.number, [0])
    }
  }
  port.on('message', (asked: Asked) => {
    // A file that cannot be opened: the cause may end, and whoever comes next tries again.
    take(asked).catch((error) => answer(asked.number, packError(error)))
  })
})
