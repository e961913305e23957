/** A mail server that takes nearly anything for a line end, and so for the end of a message: the receiver that SMTP smuggling needs. */
import { createServer, type Socket } from 'node:net'

export type LaxMail = { readonly from: string; readonly content: string }

export type Lax = { readonly host: string; readonly port: number; readonly mails: LaxMail[]; readonly close: () => Promise<void> }

// CR, LF and CRLF alike, NULs overlooked: what one server or another was found to do.
const lineEnd = '(?:\\r\\n|\\r|\\n)'
const endOfData = new RegExp(`(?:^|${lineEnd})\\0*\\.[\\0\\r]*${lineEnd}`)

const replies: { readonly [verb: string]: string } = {
  EHLO: '250-lax\r\n250 8BITMIME\r\n',
  DATA: '354 go\r\n',
  QUIT: '221 bye\r\n',
}

/** Listen on a free port of 127.0.0.1. */
export async function startLax(): Promise<Lax> {
  const mails: LaxMail[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
    converse(socket, mails)
  })
  await new Promise<void>((done, fail) => server.once('error', fail).listen(0, '127.0.0.1', done))
  return {
    host: '127.0.0.1',
    port: (server.address() as { port: number }).port,
    mails,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    },
  }
}

function converse(socket: Socket, mails: LaxMail[]): void {
  let input = ''
  let from = ''
  let inData = false
  const take = (until: RegExp): string | undefined => {
    const end = until.exec(input)
    if (!end) return undefined
    const taken = input.slice(0, end.index)
    input = input.slice(end.index + end[0].length)
    return taken
  }
  const step = (): boolean => {
    const taken = take(inData ? endOfData : new RegExp(lineEnd))
    if (taken === undefined) return false
    if (inData) {
      mails.push({ from, content: taken })
      inData = false
      socket.write('250 ok\r\n')
      return true
    }
    const verb = taken.slice(0, 4).toUpperCase()
    if (verb === 'MAIL') from = /<(.*?)>/.exec(taken)?.[1] ?? ''
    inData = verb === 'DATA'
    // An empty line is half a line end read twice.
    if (taken !== '') socket.write(replies[verb] ?? '250 ok\r\n')
    return true
  }
  socket.write('220 lax ESMTP\r\n')
  socket.on('data', (chunk: Buffer) => {
    input += chunk.toString('latin1')
    while (step());
  })
}
