/** How a command ends when it cannot do what was asked: an exit code of sysexits.h and a sentence. */

/** The exit codes of every `letterlock` command. */
export const exitCodes = {
  ok: 0,
  /** The command line is wrong. */
  usage: 64,
  /** A policy, message or key given to us is bad. */
  badData: 65,
  /** Something needed does not answer or is not there, this version's missing parts included. */
  unavailable: 69,
  /** Trying again later may help. */
  tryLater: 75,
  /** Not allowed. */
  notAllowed: 77,
  /** The settings are wrong. */
  settings: 78,
} as const
export type ExitCode = keyof typeof exitCodes

/** Ends a command: caught once, in main; `text` is printed to stderr as it is. */
export class CommandError extends Error {
  readonly code: ExitCode

  constructor(code: ExitCode, text: string) {
    super(text)
    this.name = 'CommandError'
    this.code = code
  }

  get exitCode(): number {
    return exitCodes[this.code]
  }
}

/** For what PRODUCT.md names and this version lacks. */
export const notAvailable = (what: string): CommandError => new CommandError('unavailable', `${what} is not available in this version`)
