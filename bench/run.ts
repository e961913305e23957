/** `npm run bench`: Letterlock beside other mail servers on this machine, and a few trials of its own; then the report. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeCertificates } from './certificates.ts'
import { hold } from './contest.ts'
import { farHosts } from './ground.ts'
import { inOwnNetwork, isolated } from './isolate.ts'
import { describeMachine } from './machine/describe.ts'
import { runName } from './machine/groups.ts'
import { helpText, type Options, readOptions } from './options.ts'
import { writeReport } from './report/report.ts'
import { openResults } from './results.ts'
import { buildTool } from './tools.ts'
import { holdTrials } from './trials/hold.ts'

type Wanted = Options & { readonly kind: 'run' }

const say = (line: string) => void process.stderr.write(`${line}\n`)
process.exitCode = await main(readOptions(process.argv.slice(2)))

async function main(options: Options): Promise<number> {
  if (options.kind === 'help') {
    process.stdout.write(helpText)
    return 0
  }
  if (options.kind === 'wrong') {
    say(`bench: ${options.text}; npm run bench -- --help lists the options`)
    return 64
  }
  try {
    return await run(options)
  } catch (error) {
    say(`bench: ${error instanceof Error ? error.message : String(error)}`)
    return 70
  }
}

async function run(options: Wanted): Promise<number> {
  if (!options.onlyReport) {
    if (!isolated() && inOwnNetwork.possible()) return inOwnNetwork.run(options.folder)
    if (!isolated()) say('not root, or no namespaces here: ports are shared with the machine, and 200 domains cannot be played')
    await measureAll(options)
  }
  const { text, files } = await writeReport(options.results, options.page)
  process.stdout.write(`${text}\n`)
  say(`written: ${files.join(', ')}`)
  return 0
}

async function measureAll(options: Wanted): Promise<void> {
  const { folder, scenarios, rounds, warmUp } = options
  const tool = await buildTool(folder)
  const machine = describeMachine(folder)
  if (machine.fileSystem === 'tmpfs') say(`warning: ${folder} is in memory: nobody pays for fsync there; --folder names a folder on a disk`)
  const results = await openResults(options.results, machine, options.append)
  // A folder of this run's own: two may run beside each other.
  const own = join(folder, runName)
  const certificates = await makeCertificates(join(own, 'certificates'), ['localhost', '127.0.0.1', farHosts])
  const kinds = options.peers.filter(({ name, missing }) => {
    const why = missing()
    if (why !== undefined) say(`left out: ${name}: ${why}`)
    return why === undefined
  })
  await hold({ kinds, scenarios, rounds, tool, folder: own, certificates, results, warmUp, say })
  const parts = { tool, folder: own, certificates, program: options.program, scale: options.trialScale, say }
  const complete = await holdTrials(options.trials, parts, results)
  if (complete) await rm(own, { recursive: true, force: true })
  else say(`what is left of it: ${own}`)
}
