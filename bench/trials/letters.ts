/** Letters a second: every message becomes a sealed letter, whose notice goes out over verified TLS. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { rounded } from '../statistics.ts'
import { type Figure, leave, startOurs, type Trial } from './trial.ts'

export const letters: Trial = {
  name: 'letters',
  about: '20 KB as sealed letters, to the last notice',
  run: async (parts) => {
    const file = join(parts.folder, 'letters-policy.yaml')
    await writeFile(file, 'version: 1\nrules: []\ndefault:\n  deliver: [escrow]\n')
    const contestant = await startOurs('letters', parts, () => ({ 'policy.file': file }))
    try {
      const { peer, ground, account } = contestant
      const messages = Math.ceil(600 * parts.scale)
      const load = { at: peer.at, sessions: 20, octets: 20_480, kept: true }
      // Each reader gets one notice; readers of the warm-up are others.
      await parts.tool.generate({ ...load, messages: 100, recipient: 'warm%d@example.net' })
      await ground.sink.all(100)
      await ground.sink.reset()
      const cpu = account.cpuSeconds()
      const generated = await parts.tool.generate({ ...load, messages, recipient: 'reader%d@example.net' })
      const counted = await ground.sink.all(messages)
      const seconds = (counted.last - generated.started) / 1e9
      return [
        figure('letters', rounded(counted.messages / seconds, 1), 'letters/s'),
        figure('CPU', rounded(((account.cpuSeconds() - cpu) / messages) * 1000, 2), 's/1000'),
        figure('lost', Math.max(0, messages - counted.messages), 'letters'),
      ]
    } finally {
      await leave(contestant)
    }
  },
}

const figure = (name: string, value: number, unit: string): Figure => ({ trial: 'letters', name, value, unit })
