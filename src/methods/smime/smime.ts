/** Method smime: encrypt to the recipient's certificate; this version knows of no certificates, so it suits nobody yet. */
import { z } from 'zod'
import { each, type MethodKind } from '../method.ts'

export type SmimeOptions = { readonly trust: 'direct' | 'approved' }

export const smime: MethodKind<SmimeOptions> = {
  options: z.strictObject({ trust: z.enum(['direct', 'approved']).default('approved') }),
  inPolicy: true,
  build: () => ({
    attempt: each(async ({ address }) => ({
      outcome: {
        kind: 'unsuitable',
        reason: 'no-certificate',
        text: `no certificate is known for ${address}; S/MIME is not available in this version`,
        evidence: {},
      },
    })),
  }),
}
