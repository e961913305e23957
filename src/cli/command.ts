/** What every command has in common. */
import { userInfo } from 'node:os'
import type { Command } from 'commander'

export type Common = { readonly config?: string; readonly json?: boolean }

/** A command with --config and --json. */
export const command = (parent: Command, nameAndArguments: string, description: string): Command =>
  parent.command(nameAndArguments).description(description).option('--config <file>', 'settings file (YAML)').option('--json', 'print JSON')

/** Who runs the command, as the audit knows them. */
export const actor = (): string => `cli:${userInfo().username}`
