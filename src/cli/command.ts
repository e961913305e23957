/** What every command has in common. */
import { userInfo } from 'node:os'
import type { Command } from 'commander'
import { notAvailable } from '../ops/errors.ts'

export type Common = { readonly config?: string; readonly json?: boolean }

/** A command with --config and --json. */
export const command = (parent: Command, nameAndArguments: string, description: string): Command =>
  parent.command(nameAndArguments).description(description).option('--config <file>', 'settings file (YAML)').option('--json', 'print JSON')

/** Who runs the command, as the audit knows them. */
export const actor = (): string => `cli:${userInfo().username}`

/** A noun or verb that the product names and this version lacks: it says so instead of "unknown command". */
export function later(parent: Command, name: string): void {
  parent
    .command(name, { hidden: true })
    .allowUnknownOption()
    .argument('[rest...]')
    .action(() => {
      throw notAvailable([parent.name(), name].join(' '))
    })
}

/** The command line with `--config FILE` and `--json` moved to its end, so that they may stand anywhere: before the noun, too. */
export function commonLast(argv: readonly string[]): string[] {
  const [rest, common]: [string[], string[]] = [[], []]
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? ''
    if (word === '--') return [...rest, ...common, ...argv.slice(at)]
    if (word === '--config' && argv[at + 1] !== undefined) common.push(word, argv[++at] ?? '')
    else if (word === '--json' || word.startsWith('--config=')) common.push(word)
    else rest.push(word)
  }
  return [...rest, ...common]
}
