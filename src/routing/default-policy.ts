/** The policy of a fresh installation: a text like any other, applied as revision 1. */

/** Automatic mail never becomes a letter; mail already encrypted is not put into one; everything else is protected the best way there is. */
export const defaultPolicyText = `# The rules by which Letterlock protects mail. The first matching rule decides, for each recipient.
# Try a change with: letterlock policy check FILE      Put it in force with: letterlock policy apply FILE
version: 1
rules:
  - name: automatic-mail                  # out-of-office, receipts, DSNs: never a letter, nobody would open it
    when: { is: [auto-submitted, dsn] }
    deliver: [tls, { opportunistic: { i-understand: may travel unencrypted } }]
  - name: already-encrypted               # PGP or S/MIME by the sender: protected without us
    when: { is: encrypted }
    deliver: [tls, { opportunistic: { i-understand: may travel unencrypted } }]
default:
  deliver: [tls, pgp, smime, escrow]
tests:                                    # a policy with a failing test is not applied
  - { from: ann@org.example, to: max@lab.example, given: { tls: verified }, expect: tls }
  - { from: ann@org.example, to: max@lab.example, given: { tls: none }, expect: escrow, proof: code }
  - { from: "<>", header-from: ann@org.example, to: max@lab.example, is: auto-submitted, given: { tls: none }, expect: clear }
  - { from: ann@org.example, to: max@lab.example, is: encrypted, given: { tls: none }, expect: clear }
  - { invariant: never-plaintext, except: [automatic-mail, already-encrypted] }
`
