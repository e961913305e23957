/** Method route: mail of ours to the organisation's own people, over the organisation's own route. */
import { z } from 'zod'
import type { MethodKind } from '../method.ts'
import { shipAttempt } from '../ship.ts'

export type RouteOptions = Record<string, never>

export const route: MethodKind<RouteOptions> = {
  options: z.strictObject({}),
  inPolicy: false,
  build: ({ transport }) => ({ attempt: (attempt) => shipAttempt(transport, attempt, { kind: 'route' }) }),
}
