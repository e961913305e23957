/** Says where a check of thousands of rules ended before their end: what was not looked at is never passed over in silence. */
import type { Placed } from './policy.ts'
import type { Problem } from './problem.ts'

/** `what`: what is not known of this rule and those behind it. */
export const notLookedAt = ({ name, line, column }: Placed & { readonly name: string }, what: string): Problem => ({
  ...{ line, column },
  text: `the rules are too many to compare each with each: of rule "${name}" and those behind it, it was not looked ${what}`,
  hint: 'groups make one rule of many',
})
