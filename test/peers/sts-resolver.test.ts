/** Our MTA-STS verdicts beside those of Debian's postfix-mta-sts-resolver, on the same policies. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { peer } from '../world/peers.ts'
import { needsRoot } from './daemon.ts'
import { type Compared, compareAll } from './sts-resolver.ts'
import { rows } from './sts-resolver-table.ts'

const skip = peer('mta-sts-daemon').skip || peer('ip').skip || needsRoot('a network of its own for postfix-mta-sts-resolver')

describe('postfix-mta-sts-resolver', { skip }, () => {
  let all: readonly Compared[] = []
  before(async () => {
    all = await compareAll()
  })

  for (const [i, row] of rows.entries()) {
    const { what, verdict, reason, theirs } = row
    const found = () => all[i] ?? assert.fail('not compared')
    const title = theirs ? `it says "${theirs.verdict}", we "${verdict}" (${theirs.because})` : `both say "${verdict}"`
    test(`${what}: ${title}`, () => {
      const { ours, theirs: debian, reason: trouble } = found()
      assert.deepEqual([ours.verdict, trouble], [verdict, reason])
      assert.equal(debian.verdict, theirs?.verdict ?? verdict)
      // Agreed for the same cause: both have seen the policy, or neither.
      if (!theirs) assert.equal(debian.asked, ours.asked, 'only one of the two asked for the policy')
    })
  }

  // postconf(5), smtp_tls_secure_cert_match: `.example.com` matches subdomains of any depth.
  test('the hosts that it hands to Postfix are those that we let in, but a wildcard is one label for us (§4.1), any number for Postfix', () => {
    const wide = all[rows.findIndex(({ what }) => what === 'enforce, hosts and a wildcard')] ?? assert.fail('not compared')
    assert.deepEqual(wide.names, [
      ['mx.partner.example', true],
      ['a.wide.example', true],
      ['a.b.wide.example', false],
      ['wide.example', false],
      ['mx.stranger.example', false],
    ])
  })
})
