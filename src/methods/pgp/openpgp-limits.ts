/** What we accept of OpenPGP: settings for every call into the library, and the bounds of a key that somebody hands us. */
import { config, type PartialConfig } from 'openpgp'

export const openPgpConfig = {
  ...config,
  // RFC 9580 §9.1: RSA below 2048 bits is too weak; the library's own default allows 2047, which some generators made of 2048.
  minRSABits: 2047,
  maxDecompressedMessageSize: 1024 * 1024,
  maxUserIDLength: 1024,
  showVersion: false,
  showComment: false,
} satisfies PartialConfig

/** Larger or busier keys are an attack on whoever reads them ("flooded" keys), or need a minimal export. */
export const keyLimits = { fileBytes: 1024 * 1024, keys: 50, userIds: 50, signatures: 200, subkeys: 50, rsaBits: 8192 } as const
