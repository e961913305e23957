/** Opens the door of an HTTP server, and closes it for those inside as well. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Listen } from './settings.ts'

export type Listening = {
  /** The address that was asked for, with the port that was picked for 0. */
  readonly host: string
  readonly port: number
  /** Takes no more connections and cuts off those that there are; resolves when none is left. */
  readonly close: () => Promise<void>
}

/** Resolves when `server` listens at this address (port 0 picks one). Rejects with the system's error when it cannot; it may then be tried again. */
export async function listenHttp(server: Server, { host, port }: Listen): Promise<Listening> {
  await new Promise<void>((listening, failed) => {
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      listening()
    })
  })
  return {
    host,
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  }
}
