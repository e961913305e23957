/** Method route: mail of ours to the organisation's own people, over the organisation's own route. */
import { z } from 'zod'
import type { Outcome } from '../../mail/outcome.ts'
import type { Settings } from '../../ops/settings.ts'
import { routeOf } from '../../transport/next-hop.ts'
import type { MethodKind } from '../method.ts'
import { shipAttempt } from '../ship.ts'

export type RouteOptions = {
  /** The mail carries what only the organisation's own server may see: without a route to it nothing is sent. */
  readonly inside?: boolean | undefined
}

export const route: MethodKind<RouteOptions> = {
  options: z.strictObject({ inside: z.boolean().optional() }),
  inPolicy: false,
  build: ({ transport, settings }) => ({
    attempt: async (attempt) =>
      attempt.options.inside && !isInside(settings, attempt.domain)
        ? new Map(attempt.recipients.map(({ id }) => [id, { outcome: noRoute(attempt.domain) }]))
        : shipAttempt(transport, attempt, { kind: 'route' }),
  }),
}

/** The organisation's own domain, where a route leads: the only place for content in clear. */
export const isInside = (settings: Settings, domain: string): boolean =>
  settings['organisation.domains'].includes(domain) && routeOf(domain, settings) !== undefined

const noRoute = (domain: string): Outcome => ({
  kind: 'deferred',
  reason: 'local-fault',
  text: `no route of the organisation leads to ${domain} (organisation.domains, delivery.routes)`,
  next: 'we try again',
  evidence: {},
  retry: { then: 'failed' },
})
