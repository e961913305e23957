/** A text as the numbers of its UTF-16 units: read in any order at the same speed, however the string came about. */
import { endianness } from 'node:os'

const none = { text: '', units: new Uint16Array(0) }
let last: { readonly text: string; readonly units: Uint16Array } = none

/** The units of the last text are kept until forgotten: all patterns of all detectors ask for them, one after the other. */
export function unitsOf(text: string): Uint16Array {
  if (last.text === text) return last.units
  const units = new Uint16Array(text.length)
  const bytes = Buffer.from(units.buffer)
  bytes.write(text, 'utf16le')
  if (endianness() === 'BE') bytes.swap16()
  last = { text, units }
  return units
}

/** It may be clear text of a mail, and the thread waits long for the next. */
export function forgetUnits(): void {
  last.units.fill(0)
  last = none
}

/** The character that begins at `at`; read backwards, that ends there. */
export function characterAt(units: Uint16Array, at: number, isBackwards: boolean): number {
  const unit = units[isBackwards ? at - 1 : at] ?? 0
  const [high, low] = isBackwards ? [units[at - 2] ?? 0, unit] : [unit, units[at + 1] ?? 0]
  const isPair = high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000
  return isPair ? 0x10000 + (high - 0xd800) * 0x400 + low - 0xdc00 : unit
}
