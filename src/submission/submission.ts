/** The door by which mail comes in: all SMTP listeners of the gateway, opened and closed together. */
import type { AddressInfo } from 'node:net'
import { createSecureContext } from 'node:tls'
import type { Logger } from 'pino'
import type { SMTPConnection } from 'smtp-server/lib/smtp-connection.js'
import type { Clock } from '../ops/clock.ts'
import type { Listen, Settings } from '../ops/settings.ts'
import type { Intakes } from './accept.ts'
import { SubmissionConnection } from './connection.ts'
import { Listener } from './listener.ts'
import { relayRules } from './relay.ts'
import { type Certificate, tlsOptions } from './tls-options.ts'
import type { Users } from './users.ts'

export type Submission = {
  /** Bind every address of smtp.listen and smtp.implicitTlsListen; rejects, with all closed again, when one cannot be bound. */
  readonly listen: () => Promise<{ readonly plain: readonly Listen[]; readonly implicit: readonly Listen[] }>
  /** Stop taking connections, end idle ones with 421, give those inside DATA `graceMs` milliseconds. */
  readonly close: (graceMs: number) => Promise<void>
  /** Ask for the certificate again; new handshakes use it, old connections go on. Throws, keeping the old one, when it is unusable. */
  readonly reloadCertificate: () => void
}

/** `certificate` is asked at start and by reloadCertificate. */
export function createSubmission(parts: {
  readonly settings: Settings
  readonly spool: Intakes
  readonly users: Users
  readonly clock: Clock
  readonly log: Logger
  readonly certificate: () => Certificate
}): Submission {
  const { settings, certificate } = parts
  const own = { ...parts, rules: relayRules(settings) }
  const connections = new Set<SMTPConnection>()
  const open = (implicit: boolean) => (at: Listen) => ({ at, listener: new Listener(own, certificate(), { implicit, connections }) })
  const plain = settings['smtp.listen'].map(open(false))
  const implicit = settings['smtp.implicitTlsListen'].map(open(true))
  const all = [...plain, ...implicit].map(({ listener }) => listener)

  const close = async (graceMs: number) => {
    const closed = all.map((listener) => stop(listener, graceMs))
    for (const connection of connections) if (connection instanceof SubmissionConnection) connection.leave()
    await Promise.all(closed)
  }

  return {
    listen: async () => {
      try {
        return { plain: await Promise.all(plain.map(bind)), implicit: await Promise.all(implicit.map(bind)) }
      } catch (error) {
        await close(0)
        throw error
      }
    },
    close,
    reloadCertificate: () => {
      const options = tlsOptions(settings, certificate())
      // Tried first: smtp-server would have thrown away the old one by the time it finds the new one unusable.
      createSecureContext(options)
      for (const listener of all) listener.updateSecureContext(options)
    },
  }
}

function bind({ at, listener }: { at: Listen; listener: Listener }): Promise<Listen> {
  const { server } = listener
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(at.port, at.host, () => {
      server.off('error', reject)
      const { address, port } = server.address() as AddressInfo
      resolve({ host: address, port })
    })
  })
}

function stop(listener: Listener, graceMs: number): Promise<void> {
  if (!listener.server.listening) return Promise.resolve()
  listener.options.closeTimeout = Math.max(1, graceMs)
  return new Promise((resolve) => listener.close(resolve))
}
