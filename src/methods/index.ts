/** THE list of delivery methods. A new one is a new folder and a new line here. */
import { escrow } from './escrow/escrow.ts'
import { hold } from './hold/hold.ts'
import type { DeliveryMethod, MethodKind, Parts } from './method.ts'
import { opportunistic } from './opportunistic/opportunistic.ts'
import { pgp } from './pgp/pgp.ts'
import { route } from './route/route.ts'
import { smime } from './smime/smime.ts'
import { tls } from './tls/tls.ts'

/** Any method, whatever its options are: only its own schema and its own attempt ever meet them. */
type AnyMethod = Pick<MethodKind<unknown>, 'options' | 'inPolicy'> & { readonly build: (parts: Parts) => DeliveryMethod<never> }

export const methods = { tls, pgp, smime, escrow, hold, opportunistic, route } satisfies Record<string, AnyMethod>

export type MethodName = keyof typeof methods

/** In the order of the list. */
export const methodNames = Object.keys(methods) as readonly MethodName[]

/** Every method, ready to attempt; options must have passed `methods[name].options`. */
export const buildMethods = (parts: Parts) =>
  Object.fromEntries(methodNames.map((name) => [name, methods[name].build(parts)])) as Record<MethodName, DeliveryMethod<unknown>>
