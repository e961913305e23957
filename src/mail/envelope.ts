/** The mail object's outer half (RFC 5321 §2.3.1) with the DSN parameters of RFC 3461. */

/** RFC 3461 §4.1; an empty list: not given. */
export type Notify = 'NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY'

export type EnvelopeRecipient = {
  /** In canonical form (mail/address.ts). */
  readonly address: string
  /** As received, `rfc822;…`, still in xtext (RFC 3461 §4.2). */
  readonly orcpt?: string
  readonly notify: readonly Notify[]
  /** Named in no To or Cc field: encrypted apart, never shown to the others. */
  readonly bcc: boolean
}

export type Envelope = {
  /** Canonical; '' is the null reverse-path. */
  readonly reversePath: string
  readonly recipients: readonly EnvelopeRecipient[]
  readonly ret?: 'FULL' | 'HDRS'
  /** Still in xtext. */
  readonly envid?: string
  readonly body: '7bit' | '8bit'
  readonly smtpUtf8: boolean
}

/**
 * What a message is for: ordinary mail, or one of those that we originate. `request`: asks for an approval; `copy`: what a rule sends `also-to`,
 * the content of another message as it came.
 */
export type MessageKind = 'mail' | 'notice' | 'code' | 'dsn' | 'sender-mail' | 'request' | 'copy'
