/** The kind of the file system that a folder is on. */
import { execFileSync } from 'node:child_process'

/** E.g. `ext2/ext3`, as stat(1) calls it; '' when it cannot be told. */
export function fileSystemOf(folder: string): string {
  try {
    return execFileSync('stat', ['-f', '-c', '%T', folder], { encoding: 'utf8' }).trim()
  } catch {
    return ''
  }
}
