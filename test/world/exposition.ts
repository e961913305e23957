/** Reads Prometheus' text format as strictly as its description, so that a test notices what a scraper would refuse. */

/** One line: the name with its labels in alphabetical order, `name{a="1",b="2"}`, and its value. */
export type Exposed = {
  readonly types: ReadonlyMap<string, string>
  readonly helps: ReadonlyMap<string, string>
  readonly samples: ReadonlyMap<string, number>
}

/** Throws with the line that is not allowed. */
export function readExposition(text: string): Exposed {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const [types, helps, samples] = [new Map<string, string>(), new Map<string, string>(), new Map<string, number>()]
  let family = ''
  for (const line of text.split('\n')) {
    const wrong = (why: string) => new Error(`${why}: ${line}`)
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)$/.exec(line)
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line)
    if (line === '') continue
    if (help !== null) {
      family = help[1] ?? ''
      if (helps.has(family)) throw wrong('described twice')
      helps.set(family, help[2] ?? '')
    } else if (type !== null) {
      if (type[1] !== family || types.has(family)) throw wrong('a type without its description, or twice')
      types.set(family, type[2] ?? '')
    } else {
      const [key, value] = readSample(line) ?? []
      if (key === undefined || value === undefined) throw wrong('no sample')
      const name = key.replace(/\{.*$/, '')
      const ending = types.get(family) === 'histogram' ? name.replace(/_(bucket|sum|count)$/, '') : name
      if (ending !== family) throw wrong(`a sample among those of ${family}`)
      if (samples.has(key)) throw wrong('a sample twice')
      samples.set(key, value)
    }
  }
  return { types, helps, samples }
}

function readSample(line: string): [string, number] | undefined {
  const found = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\+Inf|-Inf|NaN|-?[0-9.]+(?:e[+-]?[0-9]+)?)$/.exec(line)
  if (found === null) return undefined
  const labels = found[2] === undefined ? [] : found[2].split(/,(?=[a-zA-Z_])/)
  if (!labels.every((label) => /^[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"$/.test(label))) return undefined
  const value = found[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(found[3])
  return [labels.length === 0 ? (found[1] ?? '') : `${found[1]}{${labels.sort().join(',')}}`, value]
}
