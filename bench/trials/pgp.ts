/** PGP mail a second through the gateway, beside gpg encrypting the same on as many processors. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { generateKey } from 'openpgp'
import type { Contestant } from '../measure.ts'
import { installed } from '../peers/installed.ts'
import { rounded } from '../statistics.ts'
import { type Figure, leave, startOurs, type Trial, type TrialParts } from './trial.ts'

const run = promisify(execFile)
const reader = 'pia@example.net'
const small = 20 * 1024
const large = 10 * 1024 * 1024

export const pgp: Trial = {
  name: 'pgp',
  about: '20 KB and 10 MB encrypted with PGP (Curve25519), beside gpg',
  run: async (parts) => {
    // The form that gpg has made for years, and can read: not yet RFC 9580's.
    const { publicKey } = await generateKey({ type: 'ecc', curve: 'curve25519Legacy', userIDs: [{ email: reader }], format: 'armored' })
    const keyFile = join(parts.folder, 'reader.asc')
    await writeFile(keyFile, publicKey)
    return [...(await throughUs(parts, keyFile)), ...(installed('gpg') ? await throughGpg(parts, keyFile) : [])]
  },
}

async function throughUs(parts: TrialParts, keyFile: string): Promise<Figure[]> {
  const policy = join(parts.folder, 'pgp-policy.yaml')
  await writeFile(policy, 'version: 1\nrules: []\ndefault:\n  deliver: [pgp]\n')
  const contestant = await startOurs('pgp', parts, () => ({ 'policy.file': policy }))
  try {
    await run(process.execPath, [
      parts.program,
      'keys',
      'pgp',
      'import',
      keyFile,
      '--config',
      join(contestant.peer.folder, 'letterlock.yaml'),
    ])
    await send(contestant, parts, 100, small)
    const few = Math.max(2, Math.ceil(12 * parts.scale))
    const seconds = {
      small: await send(contestant, parts, Math.ceil(600 * parts.scale), small),
      large: await send(contestant, parts, few, large),
    }
    return [
      figure('20 KB through the gateway', Math.ceil(600 * parts.scale) / seconds.small, 'msg/s'),
      figure('10 MB through the gateway', (few * large) / 1e6 / seconds.large, 'MB/s'),
    ]
  } finally {
    await leave(contestant)
  }
}

/** Seconds from the first connection to the last message at the sink; throws a sentence when some do not arrive. */
async function send({ peer, ground }: Contestant, { tool }: TrialParts, messages: number, octets: number): Promise<number> {
  await ground.sink.reset()
  const sessions = octets === large ? 4 : 20
  const generated = await tool.generate({ at: peer.at, sessions, messages, octets, kept: true, recipient: reader })
  const counted = await ground.sink.all(messages)
  if (counted.messages === messages) return (counted.last - generated.started) / 1e9
  throw new Error(`of ${messages} PGP messages ${generated.accepted} were accepted and ${counted.messages} arrived (${generated.error})`)
}

/** One gpg a message, as many at a time as there are processors. */
async function throughGpg(parts: TrialParts, keyFile: string): Promise<Figure[]> {
  const home = await mkdtemp(join(tmpdir(), 'letterlock-bench-gpg-'))
  try {
    const gpg = ['--homedir', home, '--batch', '--quiet', '--trust-model', 'always']
    execFileSync('gpg', [...gpg, '--import', keyFile], { stdio: 'ignore' })
    const encrypt = async (octets: number, times: number): Promise<number> => {
      const file = join(home, `${octets}.txt`)
      await writeFile(file, 'a line of an ordinary message, not very long\n'.repeat(octets / 45))
      const begun = performance.now()
      let left = times
      const work = async () => {
        while (left-- > 0)
          await run('gpg', [...gpg, '--armor', '--output', '-', '-r', reader, '--encrypt', file], { maxBuffer: 4 * octets })
      }
      await Promise.all(Array.from({ length: availableParallelism() }, work))
      return (performance.now() - begun) / 1000
    }
    const [many, few] = [Math.ceil(90 * parts.scale), Math.max(2, Math.ceil(4 * parts.scale))]
    return [
      figure('20 KB by gpg', many / (await encrypt(small, many)), 'msg/s'),
      figure('10 MB by gpg', (few * large) / 1e6 / (await encrypt(large, few)), 'MB/s'),
    ]
  } finally {
    execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'], { stdio: 'ignore' })
    await rm(home, { recursive: true, force: true })
  }
}

const figure = (name: string, value: number, unit: string): Figure => ({ trial: 'pgp', name, value: rounded(value, 1), unit })
