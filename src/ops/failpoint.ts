/** Lets the crash tests end the process at a named point, as kill -9 would: nothing is flushed, closed or said. */
import { CommandError } from './errors.ts'
import { nearest } from './nearest.ts'

/** Every point, in the order of a message's life (docs/crash-tests.md). */
export const failpoints = [
  'start.rotate.begun',
  'start.rotate.rewrapped',
  'start.rotate.before-destroy',
  'start.rotate.destroyed',
  'start.blob-swept',
  'start.claims-dropped',
  'data.before-content',
  'data.content',
  'data.ended',
  'blob.written',
  'blob.synced',
  'blob.renamed',
  'blob.folder-synced',
  'accept.before-commit',
  'accept.committed',
  'accept.before-250',
  'accept.after-250',
  'commit.statement',
  'commit.before',
  'commit.after',
  'claim.before',
  'claim.committed',
  'deliver.opened',
  'deliver.planned',
  'connect.before',
  'connect.connected',
  'connect.starttls',
  'send.mail',
  'send.content',
  'send.dot',
  'send.replied',
  'letter.before-sealing',
  'letter.sealed',
  'letter.notice-drafted',
  'bounce.drafted',
  'settle.before',
  'settle.committed',
  'settle.content-removed',
  'settle.letter',
  'settle.bounce',
  'audit.before-chaining',
  'audit.chained',
] as const

export type Failpoint = (typeof failpoints)[number]

let armed: { readonly name: Failpoint; left: number } | undefined

/** Here the process dies when this point was armed and is passed for the n-th time; else nothing happens. */
export function failpoint(name: Failpoint): void {
  if (armed !== undefined) pass(name)
}

/** The same, once what was just written to a socket has had its chance to leave. */
export function failpointAfterWriting(name: Failpoint): void {
  if (armed !== undefined) setTimeout(() => pass(name), 2)
}

function pass(name: Failpoint): void {
  if (armed?.name !== name) return
  armed.left -= 1
  if (armed.left <= 0) process.kill(process.pid, 'SIGKILL')
}

/**
 * Arm what LETTERLOCK_FAILPOINT says (`name:n`, n from 1), and return it; undefined when it is not set. Throws CommandError 78 for a point
 * that does not exist: a crash test that crashes nowhere would pass.
 */
export function armFailpoint(spec: string | undefined): string | undefined {
  armed = undefined
  if (spec === undefined || spec === '') return undefined
  const [, name = '', count = '1'] = /^([a-z0-9.-]+)(?::([1-9][0-9]{0,8}))?$/.exec(spec) ?? []
  const known = failpoints.find((one) => one === name)
  if (known === undefined) throw new CommandError('settings', `LETTERLOCK_FAILPOINT: ${unknown(spec, name)}`)
  armed = { name: known, left: Number(count) }
  return `${known}:${count}`
}

/** What is armed, as `armFailpoint` takes it, for another thread of this process; undefined when nothing is. */
export const armedFailpoint = (): string | undefined => armed && `${armed.name}:${armed.left}`

function unknown(spec: string, name: string): string {
  if (name === '') return `${JSON.stringify(spec)} is not of the form name:n, such as accept.committed:1`
  const close = nearest(name, failpoints)
  return `there is no failpoint ${JSON.stringify(name)}${close === undefined ? '; docs/crash-tests.md lists them' : `; did you mean ${close}?`}`
}
