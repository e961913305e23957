/** The files of a run: what it was measured on, a line for each measurement, each figure of a trial and what was seen of each server's fairness. */
import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Fairness } from './fairness.ts'
import type { Machine } from './machine/describe.ts'
import type { Row } from './measure.ts'
import type { Figure } from './trials/trial.ts'

export type Run = {
  readonly machine: Machine | undefined
  readonly rows: readonly Row[]
  readonly figures: readonly Figure[]
  readonly fairness: readonly Fairness[]
}

export type Results = {
  readonly addRow: (row: Row) => Promise<void>
  readonly addFigure: (figure: Figure) => Promise<void>
  readonly addFairness: (fairness: Fairness) => Promise<void>
}

const names = { machine: 'machine.json', rows: 'rows.jsonl', figures: 'figures.jsonl', fairness: 'fairness.jsonl' } as const

/** Begin a run in this folder, in place of the one before, or added to it. */
export async function openResults(folder: string, machine: Machine, append: boolean): Promise<Results> {
  await mkdir(folder, { recursive: true })
  if (!append) for (const name of Object.values(names)) await rm(join(folder, name), { force: true })
  await writeFile(join(folder, names.machine), `${JSON.stringify(machine, null, 2)}\n`)
  const add = (name: string) => (line: object) => appendFile(join(folder, name), `${JSON.stringify(line)}\n`)
  return { addRow: add(names.rows), addFigure: add(names.figures), addFairness: add(names.fairness) }
}

/** Everything that is in the folder; what is missing is empty. */
export async function readResults(folder: string): Promise<Run> {
  const text = (name: string) => readFile(join(folder, name), 'utf8').catch(() => '')
  const lines = async <T>(name: string): Promise<T[]> =>
    (await text(name)).split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as T]))
  const machine = await text(names.machine)
  return {
    machine: machine === '' ? undefined : (JSON.parse(machine) as Machine),
    rows: await lines<Row>(names.rows),
    figures: await lines<Figure>(names.figures),
    fairness: await lines<Fairness>(names.fairness),
  }
}
