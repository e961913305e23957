/** Turns results into tables, plots, and the measured part of docs/performance.md. */
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { type Run, readResults } from '../results.ts'
import { median } from '../statistics.ts'
import { type Plot, plots } from './plots.ts'
import { reachTable } from './reach.ts'
import { type Summary, summaries } from './summary.ts'
import { shown, tables } from './table.ts'

export type Report = { readonly text: string; readonly files: readonly string[] }

const [begin, end] = ['<!-- measured: npm run bench writes from here … -->', '<!-- … to here -->']

/** Reads the results of `folder`, writes plots beside them and, when `page` is given, everything between its markers. */
export async function writeReport(folder: string, page: string | undefined): Promise<Report> {
  const run = await readResults(folder)
  const all = summaries(run.rows)
  const drawn = plots(all)
  for (const { file, svg } of drawn) await writeFile(join(folder, file), svg)
  const text = [reachTable(run), tables(all), figures(run)].filter((part) => part !== '').join('\n\n')
  if (page !== undefined) await writePage(page, measured(run, all, drawn, relative(dirname(page), folder)))
  return { text, files: [folder, ...(page === undefined ? [] : [page])] }
}

async function writePage(page: string, text: string): Promise<void> {
  const old = await readFile(page, 'utf8')
  const [from, to] = [old.indexOf(begin), old.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${page} has lost its lines "${begin}" and "${end}"`)
  await writeFile(page, `${old.slice(0, from)}${begin}\n\n${text}\n\n${old.slice(to)}`)
}

function measured(run: Run, all: readonly Summary[], drawn: readonly Plot[], folder: string): string {
  return [
    onWhat(run),
    '### Against what we set ourselves',
    reachTable(run),
    '### Plots',
    ...drawn.map(({ file, title }) => `![${title}](${folder}/${file})`),
    '### Every server under every scenario',
    tables(all),
    '### Letterlock alone',
    figures(run),
    '### Fairness',
    fairnesses(run),
  ].join('\n\n')
}

/** Machine, date, noise. */
function onWhat({ machine, rows }: Run): string {
  if (machine === undefined) return 'Nothing was measured yet.'
  const { date, processor, processors, memoryGigabytes, kernel, node, fileSystem, virtual, loadBefore } = machine
  const calibrations = rows.map(({ calibration }) => calibration)
  const spread = calibrations.length === 0 ? 0 : (100 * Math.min(...calibrations)) / Math.max(...calibrations)
  const steals = rows.map(({ steal }) => steal)
  const rounds = Math.max(0, ...rows.map(({ round }) => round))
  return `Measured on ${date.slice(0, 10)} at ${date.slice(11, 16)} UTC: ${processors} × ${processor}${virtual ? ' (a virtual machine)' : ''}, ${memoryGigabytes} GB, Linux ${kernel}, Node ${node}, queues on ${fileSystem}; ${rounds === 1 ? 'one round' : `${rounds} rounds`}.
Noise: a load of ${loadBefore} before the run; the host took ${shown(median(steals), 1)} % of the processors in the middle and ${shown(Math.max(0, ...steals), 1)} % at worst;
at the slowest moment the machine did ${Math.round(spread)} % of the integer work of the fastest.`
}

function figures({ figures: all }: Run): string {
  if (all.length === 0) return ''
  return [
    '| trial | | |',
    '|---|---|---|',
    ...all.map(({ trial, name, value, unit }) => `| ${trial} | ${name} | ${shown(value)} ${unit} |`),
  ].join('\n')
}

function fairnesses({ fairness }: Run): string {
  const yes = (is: boolean) => (is ? 'yes' : '**no**')
  const lines = fairness.map(({ peer, syncs, verifies }) => {
    const synced = syncs === undefined ? 'not watched' : `${yes(syncs > 0)} (${syncs})`
    return `| ${peer} | ${synced} | ${yes(verifies)} |`
  })
  return [
    '| server | syncs to disk before 250 (calls) | keeps mail from a host with a stranger’s certificate |',
    '|---|---|---|',
    ...lines,
  ].join('\n')
}
