/** Optional peers on this machine: a test that needs one is skipped with a reason where it is missing, and fails there in CI. */
import { execFileSync } from 'node:child_process'

/** Options for a test that needs this command. */
export function peer(command: string): { readonly skip: string | false } {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' })
    return { skip: false }
  } catch {
    return { skip: process.env.CI === 'true' ? false : `${command} is not installed (Debian: apt install ${packages[command] ?? command})` }
  }
}

const packages: { readonly [command: string]: string } = {
  gpg: 'gnupg',
  dkimverify: 'python3-dkim python3-nacl',
  'ldns-signzone': 'ldnsutils',
  'mta-sts-daemon': 'postfix-mta-sts-resolver',
  ip: 'iproute2',
}
