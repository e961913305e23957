/** How we speak TLS to clients. */
import { constants } from 'node:crypto'
import type { Settings } from '../ops/settings.ts'

/** PEM texts, the chain leaf first. */
export type Certificate = { readonly cert: string | Buffer; readonly key: string | Buffer }

export const tlsOptions = (settings: Settings, { cert, key }: Certificate) => ({
  cert,
  key,
  minVersion: settings['tls.minVersion'] === '1.3' ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
  // A TLS 1.2 client could ask for handshake after handshake at our cost.
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
})
