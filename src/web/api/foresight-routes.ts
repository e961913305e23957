/** What a policy would do, by API: to one message now, and to the mail of the last days. */
import { z } from 'zod'
import { parseAddress } from '../../mail/address.ts'
import { preview } from '../../monitor/preview.ts'
import { runSimulation } from '../../routing/simulation.ts'
import { invalid } from './policy-routes.ts'
import { type Answer, problem } from './problem.ts'
import { may } from './roles.ts'
import { type Call, ok, type Route, route } from './route.ts'
import { previewShape, simulatedShape } from './shapes.ts'

const text = z.string().describe('the policy, YAML')
const address = z
  .string()
  .max(320)
  .transform((given, context) => {
    const canonical = parseAddress(given)
    if (canonical !== undefined) return canonical
    context.addIssue({ code: 'custom', message: 'expected an address such as max@lab.example' })
    return z.NEVER
  })

const previewed = z
  .strictObject({
    from: z
      .union([z.enum(['', '<>']).transform(() => ''), address], 'expected an address such as ann@org.example, or <>')
      .describe('envelope sender; <> for none'),
    to: address.describe('recipient'),
    subject: z.string().max(998).optional().describe('with its tags'),
    message: z.base64().optional().describe('the message itself (base64), instead of a subject'),
    text: text.optional().describe('the policy in force when not given'),
    live: z.boolean().default(false).describe('look at the domain now, up to a minute; else as last probed'),
  })
  .refine(({ subject, message }) => subject === undefined || message === undefined, 'the message has its own subject')

const simulated = z.strictObject({
  text,
  since: z
    .string()
    .regex(/^[1-9]\d{0,5}[mhd]$/, 'expected a length of time such as 30d or 12h')
    .default('30d'),
  against: z.enum(['now', 'then']).default('now').describe('compare with the policy in force, or with those that decided then'),
})

export const foresightRoutes: readonly Route[] = [
  route({
    ...{ method: 'POST', path: '/api/v1/policy/preview', right: 'policy.try', summary: 'What would become of a message now, and why' },
    ...{ body: previewed, long: true },
    answers: { status: 200, what: 'as `letterlock policy preview --json`', shape: previewShape },
    problems: ['policy-invalid', 'unavailable', 'policy-altered'],
    run: (call) => foresee(call, call.body),
  }),
  route({
    ...{ method: 'POST', path: '/api/v1/policy/simulate', right: 'policy.try', looks: true },
    ...{ summary: 'What a text would have made of past mail, and for whom that is a change', body: simulated, yaml: true },
    answers: { status: 200, what: 'as `letterlock policy simulate --json`', shape: simulatedShape },
    problems: ['policy-invalid', 'unavailable', 'policy-altered'],
    run: (call) => simulate(call, call.body),
  }),
]

async function foresee({ parts, role, signal }: Call, { text, message, live, ...asked }: z.infer<typeof previewed>): Promise<Answer> {
  if (live && !may(role, 'domains.check'))
    return problem('not-allowed', `a token of role ${role} may not look at domains now: it needs the right domains.check`)
  const read = text === undefined ? undefined : await parts.read(text)
  if (read?.kind === 'errors') return invalid(read)
  const policy = read?.policy ?? (await parts.policies.current()).policy
  const content = message === undefined ? undefined : Buffer.from(message, 'base64')
  const told = await preview({ ...asked, content, stored: !live }, { ...parts, policy, probing: { signal } })
  return told.kind === 'preview' ? ok(told.preview) : problem('unavailable', told.text)
}

const lengths = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** One at a time in each process: a simulation is seconds of work beside the mail that flows. */
const turn = createTurn()

async function simulate({ parts, signal }: Call, { text, since: span, against }: z.infer<typeof simulated>): Promise<Answer> {
  const read = await parts.read(text)
  if (read.kind === 'errors') return invalid(read)
  const since = parts.clock() - Number(span.slice(0, -1)) * lengths[span.slice(-1) as keyof typeof lengths]
  const told = await turn(() => runSimulation(read.policy, parts, { since, against, signal }))
  if (told !== undefined) return ok({ since, against, ...told })
  return problem('unavailable', 'another simulation is running; try again in some seconds', { headers: { 'retry-after': '10' } })
}

/** Runs what it is given, unless something runs: then undefined at once. */
function createTurn(): <T>(work: () => Promise<T>) => Promise<T | undefined> {
  let busy = false
  return async (work) => {
    if (busy) return undefined
    busy = true
    try {
      return await work()
    } finally {
      busy = false
    }
  }
}
