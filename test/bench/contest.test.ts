/** The benchmark's own machinery, with a handful of messages: what it counts must be so. How fast is not asked here. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { SMTPServer } from 'smtp-server'
import { type Certificates, makeCertificates } from '../../bench/certificates.ts'
import { hold } from '../../bench/contest.ts'
import { describeMachine } from '../../bench/machine/describe.ts'
import { ours } from '../../bench/peers/ours.ts'
import type { PeerKind } from '../../bench/peers/peer.ts'
import { openResults, readResults } from '../../bench/results.ts'
import type { Scenario } from '../../bench/scenarios.ts'
import { buildTool, type Tool } from '../../bench/tools.ts'
import { packageRoot } from '../../src/ops/package-root.ts'

const compiles = spawnSync('cc', ['-E', '-'], { input: '#include <openssl/ssl.h>\n' }).status === 0
const skip =
  compiles || process.env.CI === 'true' ? false : 'cc or the headers of OpenSSL are missing (Debian: apt install gcc libc6-dev libssl-dev)'

describe('the benchmark', { skip }, () => {
  let folder: string
  let tool: Tool
  let certificates: Certificates
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'letterlock-bench-test-'))
    tool = await buildTool(folder)
    certificates = await makeCertificates(join(folder, 'certificates'), ['localhost', '127.0.0.1'])
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const contest = async (kinds: readonly PeerKind[], scenarios: readonly Scenario[]) => {
    const results = await openResults(join(folder, 'results'), describeMachine(folder), false)
    await hold({ kinds, scenarios, rounds: 1, tool, folder, certificates, results, warmUp: 20, say: () => {} })
    return readResults(join(folder, 'results'))
  }

  test('every message sent through the gateway is counted at the sink, none in clear, with its processor time and memory', async () => {
    const letterlock = ours({ name: 'letterlock', about: 'from source', program: join(packageRoot, 'src', 'main.ts') })
    const { rows, machine, fairness } = await contest(
      [letterlock],
      [
        { name: 'kept', about: '', sessions: 4, messages: 24, octets: 100 * 1024, kept: true },
        { name: 'cold', about: '', sessions: 2, messages: 6, octets: 4096, kept: true, fresh: true },
        { name: 'idle', about: '', sessions: 1, messages: 2, octets: 4096, kept: false, idle: true },
      ],
    )
    assert.deepEqual(
      rows.map(({ scenario, sent, accepted, failed, expected, arrived, clear }) => [
        scenario,
        sent,
        accepted,
        failed,
        expected,
        arrived,
        clear,
      ]),
      [
        // The first messages of all, before the warm-up, which no row counts.
        ['cold', 6, 6, 0, 6, 6, 0],
        ['kept', 24, 24, 0, 24, 24, 0],
        ['idle', 2, 2, 0, 2, 2, 0],
      ],
    )
    for (const { cpuPerThousand, memory } of rows) assert.ok(cpuPerThousand > 0 && memory > 10, `${cpuPerThousand} s, ${memory} MB`)
    assert.ok((rows[0]?.endToEndRate ?? 0) > 0 && (rows[2]?.idleP50 ?? 0) > 0)
    assert.match(machine?.processor ?? '', /./)
    assert.equal(fairness[0]?.verifies, true)
    assert.notEqual(fairness[0]?.syncs, 0)
  })

  test('a server that does not start is named, with its last words', async () => {
    const broken = ours({ name: 'broken', about: '', program: join(packageRoot, 'src', 'main.ts'), settings: { 'tls.minVersion': '0.9' } })
    await assert.rejects(
      contest([broken], [{ name: 'kept', about: '', sessions: 1, messages: 1, octets: 4096, kept: true }]),
      /broken does not greet[\s\S]*minVersion/,
    )
  })

  test('the sink refuses mail in clear', async () => {
    const sink = await tool.startSink({ folder, certificate: certificates })
    try {
      const socket = connect(sink.port, '127.0.0.1', () => socket.write('EHLO x\r\nMAIL FROM:<a@org.example>\r\n'))
      let said = ''
      for await (const chunk of socket) {
        said += chunk
        if (/^530|^250 2\.1\.0/m.test(said)) break
      }
      assert.match(said, /^530 /m)
      assert.equal((await sink.count()).messages, 0)
    } finally {
      sink.close()
    }
  })

  test('recipients are spread over so many domains as are asked for, and each message is whole', async () => {
    const recipients: string[] = []
    const contents: string[] = []
    const server = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      onRcptTo: ({ address }, _session, done) => done(recipients.push(address) > 0 ? null : undefined),
      onData: (stream, _session, done) => {
        let content = ''
        stream.on('data', (chunk) => (content += chunk)).on('end', () => done(contents.push(content) > 0 ? null : undefined))
      },
    })
    const listening = server.listen(0, '127.0.0.1')
    await once(listening, 'listening')
    try {
      const at = { host: '127.0.0.1', port: (listening.address() as AddressInfo).port }
      const load = { at, sessions: 2, messages: 6, octets: 4096, kept: false, recipient: 'r%d@d%d.example', domains: 3 }
      const { accepted, failed } = await tool.generate(load)
      assert.deepEqual([accepted, failed], [6, 0])
      assert.deepEqual(recipients.sort(), [
        'r0@d0.example',
        'r1@d1.example',
        'r2@d2.example',
        'r3@d0.example',
        'r4@d1.example',
        'r5@d2.example',
      ])
      assert.equal(new Set(contents.map((content) => /^Message-ID: (.*)$/m.exec(content)?.[1])).size, 6)
      for (const content of contents) assert.ok(content.length > 3900 && content.length < 4300, `${content.length} octets`)
    } finally {
      await new Promise<void>((done) => server.close(() => done()))
    }
  })
})

test('the page of results has the two lines between which the benchmark writes', async () => {
  const page = await readFile(join(packageRoot, 'docs', 'performance.md'), 'utf8')
  assert.match(page, /<!-- measured: npm run bench writes from here … -->[\s\S]*<!-- … to here -->/)
})
