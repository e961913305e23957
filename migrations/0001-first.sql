-- The whole first schema: one text for SQLite and PostgreSQL. Times are milliseconds since 1970 (…_at); bytes are BYTEA.

-- Policy: every revision ever applied; a message is stamped with the highest at its acceptance.
CREATE TABLE policy_revision (
  revision BIGINT PRIMARY KEY,
  fingerprint TEXT NOT NULL,           -- first 12 hex digits of the SHA-256 of the text
  text TEXT NOT NULL,
  applied_at BIGINT NOT NULL,
  applied_by TEXT NOT NULL,
  comment TEXT NOT NULL
);

-- One accepted mail object (RFC 5321 §2.3.1). Its row outlives its content.
CREATE TABLE message (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,                  -- mail | notice | code | dsn | sender-mail
  about TEXT,                          -- notice, code: letter id; dsn: message id
  message_id TEXT NOT NULL,            -- Message-ID header field with its angle brackets
  reverse_path TEXT NOT NULL,          -- '' is the null reverse-path
  header_from TEXT NOT NULL,
  accepted_at BIGINT NOT NULL,
  size BIGINT NOT NULL,                -- bytes of the content in clear
  policy_revision BIGINT NOT NULL,
  body TEXT NOT NULL,                  -- 7bit | 8bit
  smtp_utf8 BIGINT NOT NULL,
  ret TEXT,                            -- FULL | HDRS (RFC 3461 §4.3)
  envid TEXT,
  client TEXT NOT NULL,                -- JSON: address, name, authenticatedAs, tls
  mac BYTEA NOT NULL,                  -- HMAC of the envelope by the queue's MAC key
  epoch TEXT,                          -- epoch key that wraps the file key; NULL once settled
  wrap BYTEA                           -- age X25519 wrap of the file key; NULL once settled
);
CREATE INDEX message_message_id ON message (message_id);
CREATE INDEX message_accepted ON message (accepted_at);
CREATE INDEX message_epoch ON message (epoch) WHERE epoch IS NOT NULL;

-- The sealed content: an age v1 payload, with the row when small, else a blob file.
CREATE TABLE content (
  message TEXT PRIMARY KEY,
  inline_payload BYTEA,
  blob TEXT,
  payload_size BIGINT NOT NULL,
  payload_sha256 TEXT NOT NULL
);

-- One recipient of one message: the queue.
CREATE TABLE recipient (
  id TEXT PRIMARY KEY,
  message TEXT NOT NULL,
  address TEXT NOT NULL,
  domain TEXT NOT NULL,
  orcpt TEXT,
  notify TEXT NOT NULL,                -- comma list of RFC 3461 §4.1, '' when not given
  bcc BIGINT NOT NULL,                 -- 1: named in no header field
  state TEXT NOT NULL,                 -- waiting | held | delivered | bounced | letter-…
  plan TEXT,                           -- JSON of the frozen plan; NULL until first claimed
  step BIGINT NOT NULL,
  step_since BIGINT,                   -- first attempt of this step
  attempts BIGINT NOT NULL,
  step_attempts BIGINT NOT NULL,
  next_attempt_at BIGINT NOT NULL,
  claimed_until BIGINT NOT NULL,
  fence BIGINT NOT NULL,               -- grows with each claim: a late settle finds another number
  method TEXT,
  reason TEXT,
  assurance TEXT,
  proof TEXT,
  last_reply TEXT,
  delay_noticed BIGINT NOT NULL,
  request TEXT,                        -- bounce: an operator wants it returned
  settled_at BIGINT
);
CREATE INDEX recipient_due ON recipient (next_attempt_at) WHERE state = 'waiting';
CREATE INDEX recipient_message ON recipient (message);

-- What was decided and why: append-only, one row an attempt; the basis of explain.
CREATE TABLE decision (
  recipient TEXT NOT NULL,
  attempt BIGINT NOT NULL,
  at BIGINT NOT NULL,
  policy_revision BIGINT NOT NULL,
  record TEXT NOT NULL,                -- JSON, routing/record.ts
  PRIMARY KEY (recipient, attempt)
);

-- Audit entries are inserted with the change they tell of and chained within a second by one sequencer.
CREATE TABLE audit (
  id TEXT PRIMARY KEY,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  detail TEXT NOT NULL,                -- JSON; never content, subject, code or secret
  seq BIGINT UNIQUE,
  hash TEXT
);
CREATE INDEX audit_unchained ON audit (at) WHERE seq IS NULL;

-- Letters in the vault.
CREATE TABLE letter (
  id TEXT PRIMARY KEY,
  reference TEXT NOT NULL UNIQUE,      -- KJ4F-7Q2M: what people read to each other; opens nothing
  message TEXT NOT NULL,
  recipient TEXT NOT NULL UNIQUE,      -- recipient.id
  address TEXT NOT NULL,
  sender_address TEXT NOT NULL,
  sender_name TEXT NOT NULL,
  message_id TEXT NOT NULL,
  references_field TEXT NOT NULL,
  proof TEXT NOT NULL,                 -- link | code | second-factor
  label TEXT NOT NULL,                 -- why it fell back, for the page's words
  language TEXT NOT NULL DEFAULT '',   -- languages of its notice, first one first: `de,en`
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  state TEXT NOT NULL,                 -- waiting | notified | read | expired | recalled | superseded | bounced
  notified_at BIGINT,
  notice_assurance TEXT,
  read_at BIGINT,
  ended_at BIGINT
);
CREATE INDEX letter_address ON letter (address);
CREATE INDEX letter_expires ON letter (expires_at) WHERE ended_at IS NULL;
CREATE INDEX letter_message ON letter (message);

-- Who can open a letter: one age header each. kind: link (sender, account, recovery come later).
CREATE TABLE letter_header (
  letter TEXT NOT NULL,
  kind TEXT NOT NULL,
  header BYTEA NOT NULL,               -- age v1 header, 168 bytes
  lookup TEXT UNIQUE,                  -- SHA-256 of the look-up id, hex
  salt_wrap BYTEA NOT NULL,            -- the 32-byte salt under a server key, AAD: the letter's binding
  meta BYTEA NOT NULL,                 -- nonce + sealed JSON {subject, attachments} under HKDF(file key, "meta")
  signature BYTEA NOT NULL,            -- Ed25519 over the binding
  PRIMARY KEY (letter, kind)
);

-- What is left of a letter for seven days after its end, so that its link says what became of it.
CREATE TABLE letter_tombstone (
  lookup TEXT PRIMARY KEY,             -- as in letter_header
  letter TEXT NOT NULL,
  shown TEXT NOT NULL,                 -- JSON: what the page says
  ends_at BIGINT NOT NULL,
  signature BYTEA NOT NULL             -- Ed25519: a planted one is not shown
);

-- Codes belong to (letter, mailbox), not to a browser.
CREATE TABLE code (
  id TEXT PRIMARY KEY,
  letter TEXT NOT NULL,
  address TEXT NOT NULL,
  code_mac TEXT NOT NULL,              -- HMAC of the code by a server key, never the code
  words TEXT NOT NULL,
  asked_at BIGINT NOT NULL,
  valid_until BIGINT,                  -- 10 minutes from the next hop's 250; NULL until then
  long BIGINT NOT NULL,                -- 1: twelve characters, not spent by wrong tries
  used_at BIGINT,
  spent BIGINT NOT NULL
);
CREATE INDEX code_letter ON code (letter, asked_at);
CREATE INDEX code_address ON code (address, asked_at);

CREATE TABLE code_try (
  id TEXT PRIMARY KEY,
  letter TEXT NOT NULL,
  session TEXT NOT NULL,
  client TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX code_try_letter ON code_try (letter, at);
CREATE INDEX code_try_client ON code_try (client, at);

-- Portal sessions: the row opens only with the cookie.
CREATE TABLE portal_session (
  id TEXT PRIMARY KEY,                 -- SHA-256 of the cookie's look-up half
  sealed BYTEA NOT NULL,
  letter TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL
);

-- Visits without a code are visits, never reads.
CREATE TABLE letter_visit (
  id TEXT PRIMARY KEY,
  letter TEXT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL                   -- visit | continue | read | not-me
);

-- Keys of recipients: one an address; a key with several addresses has a row for each.
CREATE TABLE pgp_key (
  address TEXT PRIMARY KEY,            -- lower case
  fingerprint TEXT NOT NULL,
  armored TEXT NOT NULL,
  trust TEXT NOT NULL,                 -- direct | approved
  source TEXT NOT NULL,
  imported_at BIGINT NOT NULL,
  expires_at BIGINT
);
CREATE INDEX pgp_key_fingerprint ON pgp_key (fingerprint);

-- People and machines that may submit with AUTH.
CREATE TABLE smtp_user (
  name TEXT PRIMARY KEY,
  password_hash TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  disabled_at BIGINT
);

-- Small facts of the installation, such as the policy file last applied.
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
