/** The JSON Schema of the policy language, for completion in editors: made of the same lists of words that the parser reads by. */
import { z } from 'zod'
import { understood } from '../methods/opportunistic/opportunistic.ts'
import { conditionWords } from './conditions.ts'
import { builtInNames } from './detectors.ts'
import { documentWords, ladderWords, ruleWords } from './parse.ts'
import { invariants, isPreferable, tlsWorlds, traits } from './policy.ts'
import { detectorWords } from './read-detectors.ts'
import { overrideWords } from './read-overrides.ts'
import { exampleWords, givenWords, invariantWords } from './read-tests.ts'
import { type MethodWords, policyWords } from './steps.ts'

type Schema = { readonly [keyword: string]: unknown }

const text: Schema = { type: 'string', minLength: 1 }
const yes: Schema = { type: 'boolean' }
const ref = (name: string): Schema => ({ $ref: `#/$defs/${name}` })
const oneOrMany = (item: Schema): Schema => ({ anyOf: [item, { type: 'array', items: item, minItems: 1 }] })
const record = (value: Schema): Schema => ({ type: 'object', additionalProperties: value })

/** A mapping with known keys; a word that has no shape does not compile. */
const mapping = <Word extends string>(
  words: readonly Word[],
  shapes: Readonly<Record<Word, Schema>>,
  required: readonly Word[] = [],
): Schema => ({
  type: 'object',
  additionalProperties: false,
  properties: Object.fromEntries(words.map((word) => [word, shapes[word]])),
  ...(required.length > 0 ? { required } : {}),
})

const described = (description: string, schema: Schema): Schema => ({ description, ...schema })

const addresses = described('addresses, domains, *.domains and group:names', oneOrMany(text))
const size = described('a size such as 10MiB, or a number of bytes', { type: ['string', 'integer'] })
const date = described('a day such as 2027-03-31, in UTC', { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}$' })
const headerTest: Schema = {
  anyOf: [
    oneOrMany({ type: ['string', 'number', 'boolean'] }),
    mapping(['equals', 'contains', 'present'], { equals: oneOrMany(text), contains: oneOrMany(text), present: yes }),
  ],
}

/** The schema (draft 2020-12) with the methods that this program has. It is laxer than the parser, which also knows names and places. */
export const policySchema = (methods: MethodWords): Schema => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Letterlock policy',
  ...mapping(
    documentWords,
    {
      version: { const: 1 },
      observe: described('mail goes as before; what the rules would do is recorded', yes),
      groups: described('names for lists of addresses, domains and *.domains', record(oneOrMany(text))),
      detectors: described('own words and patterns, and other thresholds', record(ref('detector'))),
      overrides: { type: 'array', items: ref('override') },
      rules: described('the first that matches decides', { type: 'array', items: ref('rule') }),
      default: described('what applies to all other mail', mapping(ladderWords, ladder, ['deliver'])),
      tests: { type: 'array', items: { anyOf: [ref('example'), ref('invariant')] } },
    },
    ['version'],
  ),
  $defs: {
    rule: mapping(ruleWords, { name: text, when: ref('condition'), ...ladder }, ['name', 'when', 'deliver']),
    condition: { ...mapping(conditionWords, conditions), minProperties: 1 },
    step: { anyOf: [{ enum: policyWords(methods) }, ...policyWords(methods).map((name) => stepSchema(name, methods))] },
    detector: mapping(detectorWords, { words: oneOrMany(text), patterns: oneOrMany(text), threshold: { type: 'integer', minimum: 1 } }),
    override: mapping(
      overrideWords,
      {
        to: addresses,
        prefer: { enum: policyWords(methods).filter(isPreferable) },
        never: oneOrMany({ enum: policyWords(methods).filter((name) => name !== 'bounce' && name !== 'hold') }),
        tls: optionsOf('tls', methods),
        reason: text,
        until: date,
      },
      ['to', 'reason', 'until'],
    ),
    example: mapping(exampleWords, examples(methods), ['from', 'to', 'expect']),
    invariant: mapping(invariantWords, { invariant: { enum: invariants }, except: oneOrMany(text) }, ['invariant']),
  },
})

/** The schema as its file holds it. */
export const schemaText = (methods: MethodWords): string => `${JSON.stringify(policySchema(methods), null, 2)}\n`

const ladder = {
  deliver: described('tried from left to right', oneOrMany(ref('step'))),
  'also-to': described('addresses of your own that get a copy', oneOrMany(text)),
  observe: yes,
}

const conditions: Record<(typeof conditionWords)[number], Schema> = {
  from: addresses,
  'header-from': addresses,
  to: addresses,
  'subject-tag': described('secure for [secure]', oneOrMany(text)),
  is: oneOrMany({ enum: traits }),
  header: record(headerTest),
  size: mapping(['over', 'under'], { over: size, under: size }),
  detect: described(`${builtInNames.join(', ')}, or one of detectors`, oneOrMany(text)),
  'authenticated-as': oneOrMany(text),
  client: described('networks such as 10.2.0.0/16', oneOrMany(text)),
  any: oneOrMany(ref('condition')),
  all: oneOrMany(ref('condition')),
  not: oneOrMany(ref('condition')),
}

const examples = (methods: MethodWords): Record<(typeof exampleWords)[number], Schema> => ({
  from: text,
  'header-from': text,
  to: text,
  subject: text,
  is: oneOrMany({ enum: traits }),
  header: record(oneOrMany({ type: ['string', 'number', 'boolean'] })),
  size,
  detect: oneOrMany(text),
  'authenticated-as': text,
  client: text,
  at: date,
  given: mapping(givenWords, { tls: { enum: tlsWorlds }, pgp: yes, smime: yes }),
  expect: { enum: [...new Set([...policyWords(methods), 'clear', 'wait', 'hold'])] },
  proof: { enum: ['link', 'code', 'second-factor'] },
  rule: text,
})

const stepSchema = (name: string, methods: MethodWords): Schema => ({
  type: 'object',
  additionalProperties: false,
  required: [name],
  properties: { [name]: optionsOf(name, methods) },
})

/** As they are written, not as they are parsed. */
function optionsOf(name: string, methods: MethodWords): Schema {
  const known = methods[name]
  if (known === undefined) return { type: 'object', additionalProperties: false }
  if (name === 'opportunistic') return { ...mapping(['i-understand'], { 'i-understand': { const: understood } }, ['i-understand']) }
  const { $schema: _, ...schema } = z.toJSONSchema(known.options, { io: 'input', unrepresentable: 'any' })
  return schema
}
