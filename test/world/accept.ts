/** Puts a mail into the spool as submission does, without SMTP. */
import type { SpoolParts } from '../../src/spool/parts.ts'
import { createSpool } from '../../src/spool/spool.ts'

/** Accept `content` from s@org.example for these addresses; the id of the message. */
export async function acceptMail(parts: SpoolParts, content: Buffer | string, addresses: readonly string[]): Promise<string> {
  const bytes = Buffer.from(content)
  const intake = createSpool(parts).intake()
  for (let at = 0; at < bytes.length; at += 10_000) await intake.write(bytes.subarray(at, at + 10_000))
  await intake.commit({
    envelope: {
      reversePath: 's@org.example',
      recipients: addresses.map((address) => ({ address, notify: [], bcc: false })),
      body: '7bit',
      smtpUtf8: false,
    },
    messageId: '<1@org.example>',
    headerFrom: 's@org.example',
    client: { address: '127.0.0.1', name: 'test', authenticatedAs: null, tls: null },
  })
  return intake.id
}
