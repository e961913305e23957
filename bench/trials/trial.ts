/** A trial: something that other mail servers do not do, or a state that only ours is brought into, in a few figures. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Certificates } from '../certificates.ts'
import { nearGround } from '../ground.ts'
import { openAccount } from '../machine/account.ts'
import type { Contestant } from '../measure.ts'
import { ours } from '../peers/ours.ts'
import type { Tool } from '../tools.ts'

export type Figure = { readonly trial: string; readonly name: string; readonly value: number; readonly unit: string }

export type TrialParts = {
  readonly tool: Tool
  readonly folder: string
  readonly certificates: Certificates
  /** Our main.js. */
  readonly program: string
  /** 1 in a full run, less in a quick one. */
  readonly scale: number
  readonly say: (line: string) => void
}

export type Trial = {
  readonly name: string
  readonly about: string
  readonly run: (parts: TrialParts) => Promise<readonly Figure[]>
}

/** Settings for a gateway whose mail goes to a sink at this port. */
type SettingsFor = (sink: number) => { readonly [key: string]: unknown }

/** A Letterlock of a trial's own with these settings more, to be left with `leave`. */
export async function startOurs(name: string, parts: TrialParts, settingsFor: SettingsFor): Promise<Contestant> {
  const folder = join(parts.folder, 'trials', name)
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const ground = await nearGround({ folder, tool: parts.tool, certificates: parts.certificates })
  const account = openAccount(name)
  const kind = ours({ name, about: name, program: parts.program, settings: settingsFor(ground.sink.port) })
  const place = { folder, authority: parts.certificates.authority, next: ground.next, account }
  const peer = await kind.start(place).catch(async (error: unknown) => {
    await account.close()
    ground.close()
    throw error
  })
  return { kind, peer, account, ground }
}

/** End it, whatever it is at. */
export async function leave({ peer, ground }: Contestant): Promise<void> {
  await peer.stop()
  ground.close()
}
