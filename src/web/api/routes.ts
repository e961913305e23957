/** All routes of the API: the one table that is served and that OpenAPI is made of. */
import { foresightRoutes } from './foresight-routes.ts'
import { policyRoutes } from './policy-routes.ts'
import { queueRoutes } from './queue-routes.ts'
import type { Route } from './route.ts'
import { trailRoutes } from './trail-routes.ts'

export const routes: readonly Route[] = [...policyRoutes, ...foresightRoutes, ...trailRoutes, ...queueRoutes]

export type Match =
  | { readonly kind: 'route'; readonly route: Route; readonly path: { readonly [name: string]: string } }
  /** The address is known, but not with this method. */
  | { readonly kind: 'method'; readonly allowed: readonly string[] }
  | { readonly kind: 'none' }

/** The route for a request; `segments` are the decoded parts of its path. HEAD is served as GET. */
export function matchRoute(method: string, segments: readonly string[]): Match {
  const here = routes.flatMap((route) => {
    const path = parameters(route.path.slice(1).split('/'), segments)
    return path === undefined ? [] : [{ route, path }]
  })
  const found = here.find(({ route }) => route.method === (method === 'HEAD' ? 'GET' : method))
  if (found !== undefined) return { kind: 'route', ...found }
  const allowed = here.flatMap(({ route }) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]))
  return allowed.length > 0 ? { kind: 'method', allowed: [...new Set(allowed)] } : { kind: 'none' }
}

function parameters(pattern: readonly string[], segments: readonly string[]): { [name: string]: string } | undefined {
  if (pattern.length !== segments.length) return undefined
  const found: { [name: string]: string } = {}
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? ''
    const name = /^\{(\w+)\}$/.exec(part)?.[1]
    if (name === undefined ? part !== segment : segment === '') return undefined
    if (name !== undefined) found[name] = segment
  }
  return found
}
