/** Whether a command is in PATH. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** True when a program of this name can be started. */
export const installed = (name: string): boolean =>
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].some((folder) => folder !== '' && existsSync(join(folder, name)))
