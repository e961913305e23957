/** Looks into the files of an SQLite database. */
import { existsSync, readFileSync } from 'node:fs'

/** Commits in a write-ahead log: frames whose "size of the database after this commit" is not 0 (SQLite file format §4.1). */
export function commitsInLog(path: string): number {
  const log = readFileSync(path)
  const pageSize = log.readUInt32BE(8)
  let commits = 0
  for (let at = 32; at + 24 <= log.length; at += 24 + pageSize) {
    const ofThisLog = log.subarray(at + 8, at + 16).equals(log.subarray(16, 24)) // salts
    if (ofThisLog && log.readUInt32BE(at + 4) !== 0) commits++
  }
  return commits
}

/** Which file of the database holds these bytes. */
export const filesHold = (path: string, text: string): string | undefined =>
  [path, `${path}-wal`, `${path}-shm`, `${path}-journal`].find((file) => existsSync(file) && readFileSync(file).includes(text))
