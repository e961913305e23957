/** The methods that policies of these tests may name. */
import { z } from 'zod'
import { opportunistic } from '../../src/methods/opportunistic/opportunistic.ts'
import { route } from '../../src/methods/route/route.ts'
import { tls } from '../../src/methods/tls/tls.ts'

const bare = { options: z.strictObject({}), inPolicy: true }
export const methods = {
  tls,
  pgp: bare,
  smime: bare,
  escrow: { options: z.strictObject({ proof: z.enum(['code', 'link']).default('code'), expires: z.string().optional() }), inPolicy: true },
  opportunistic,
  route,
}
