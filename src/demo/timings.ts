/** Says which timings the demo shortens, and what they are in real life. */
import { defaultSettings, type Settings } from '../ops/settings.ts'

type Timed = Pick<Settings, 'retry.tls.soft' | 'retry.schedule'>

export const shortened: Timed = { 'retry.tls.soft': 15_000, 'retry.schedule': [2000, 5000, 10_000] }

export type Timing = { readonly what: string; readonly here: string; readonly usually: string }

/** For the page and the console. */
export function timings(): readonly Timing[] {
  const usual = defaultSettings()
  const pauses = (settings: Timed) =>
    settings['retry.schedule']
      .slice(0, 3)
      .map((pause) => span(pause))
      .join(', ')
  const patience = (settings: Timed) => span(settings['retry.tls.soft'])
  return [
    { what: 'an expired certificate may be renewed for', here: patience(shortened), usually: patience(usual) },
    { what: 'a silent server is tried again after', here: pauses(shortened), usually: pauses(usual) },
  ]
}

const span = (milliseconds: number): string => (milliseconds < 120_000 ? `${milliseconds / 1000} s` : `${milliseconds / 60_000} min`)
