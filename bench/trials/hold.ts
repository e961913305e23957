/** Runs the trials, one after the other; one that fails does not stop the next. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Results } from '../results.ts'
import type { Figure, Trial, TrialParts } from './trial.ts'

/** Each figure is written as soon as it is known. False when one failed: its logs are still there. */
export async function holdTrials(trials: readonly Trial[], parts: TrialParts, results: Results): Promise<boolean> {
  let complete = true
  for (const [i, trial] of trials.entries()) {
    const begun = Date.now()
    parts.say(`trial ${i + 1} of ${trials.length}: ${trial.name}: ${trial.about}`)
    const figures = await trial.run(parts).catch((error: unknown): Figure[] => {
      complete = false
      parts.say(`  FAILED: ${error instanceof Error ? error.message : String(error)}`)
      return []
    })
    // Mail of gigabytes; a trial that failed leaves its logs.
    if (figures.length > 0) await rm(join(parts.folder, 'trials'), { recursive: true, force: true })
    for (const figure of figures) await results.addFigure(figure)
    for (const { name, value, unit } of figures) parts.say(`  ${name}: ${value} ${unit}`)
    parts.say(`  took ${Math.round((Date.now() - begun) / 1000)} s`)
  }
  return complete
}
