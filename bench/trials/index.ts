/** The list of trials. */
import { arriving } from './arriving.ts'
import { letters } from './letters.ts'
import { pgp } from './pgp.ts'
import { sealing } from './sealing.ts'
import type { Trial } from './trial.ts'
import { waiting } from './waiting.ts'

export const trials: readonly Trial[] = [sealing, letters, pgp, arriving, waiting]
