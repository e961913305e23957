/** Patterns of own detectors: regular expressions whose time grows with the text and nothing else, whatever is written. */
import { RE2JS, RE2JSException } from 're2js'

/** A pattern ready to look with. */
export type Pattern = { readonly source: string; readonly compiled: RE2JS }

/** Steps of the machine that a pattern may have: `(a{900}){900}` is refused, not run. */
const largest = 5000

/** Compile a pattern of RE2's language (no look-around, no back-references), case ignored; or what is wrong with it, as the end of a sentence. */
export function compilePattern(
  source: string,
): { readonly kind: 'pattern'; readonly pattern: Pattern } | { readonly kind: 'wrong'; readonly text: string } {
  try {
    const compiled = RE2JS.compile(source, RE2JS.CASE_INSENSITIVE | RE2JS.MULTILINE)
    if (compiled.programSize() > largest) return { kind: 'wrong', text: 'is too large' }
    if (compiled.matcher('').find()) return { kind: 'wrong', text: 'finds nothing everywhere: it matches empty text' }
    return { kind: 'pattern', pattern: { source, compiled } }
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    return { kind: 'wrong', text: `cannot be used: ${error.message.replace(/^error parsing regexp: /, '').slice(0, 120)}` }
  }
}

/** What is wrong with a pattern, or undefined. */
export function checkPattern(source: string): string | undefined {
  const read = compilePattern(source)
  return read.kind === 'wrong' ? read.text : undefined
}
