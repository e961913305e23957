/** A reporter for node:test that says at the end which tests were skipped, and why. */
export default async function* skipped(events) {
  const lines = []
  for await (const { type, data } of events) {
    if ((type === 'test:pass' || type === 'test:fail') && data.skip !== undefined && data.skip !== false)
      lines.push(`  ${data.name}${typeof data.skip === 'string' && data.skip !== '' ? `: ${data.skip}` : ''}\n`)
  }
  if (lines.length > 0) yield `\nskipped:\n${lines.join('')}`
}
