/** `npm run bench`: Letterlock beside other mail servers on this machine, as a table. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hold, writer } from './contest.ts'
import { inOwnNetwork, isolated } from './isolate.ts'
import type { Row } from './measure.ts'
import { helpText, readOptions } from './options.ts'
import { table } from './report.ts'
import { buildTool } from './tools.ts'

const options = readOptions(process.argv.slice(2))
if (options.kind === 'help' || options.kind === 'wrong') {
  process.stderr.write(options.kind === 'help' ? helpText : `bench: ${options.text}\n\n${helpText}`)
  process.exit(options.kind === 'help' ? 0 : 64)
}
const say = (line: string) => process.stderr.write(`${line}\n`)

if (!isolated() && inOwnNetwork.possible()) {
  process.exitCode = await inOwnNetwork.run(options.folder)
} else {
  try {
    await runHere()
  } catch (error) {
    say(`bench: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 70
  }
}

async function runHere(): Promise<void> {
  if (options.kind !== 'run') return
  const tool = await buildTool(options.folder)
  const kinds = options.peers.filter((kind) => {
    const why = kind.missing()
    if (why !== undefined) say(`left out: ${kind.name}: ${why}`)
    return why === undefined
  })
  await mkdir(options.results, { recursive: true })
  const file = join(options.results, 'rows.jsonl')
  if (!options.append) await rm(file, { force: true })
  const rows: Row[] = []
  const write = writer(file)
  await hold({
    kinds,
    scenarios: options.scenarios,
    rounds: options.rounds,
    tool,
    folder: options.folder,
    say,
    each: async (row) => {
      rows.push(row)
      await write(row)
    },
  })
  process.stdout.write(`${table(rows)}\n`)
  say(`every measurement: ${file}`)
}
