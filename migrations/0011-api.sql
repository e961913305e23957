-- Bearer tokens of the API: only a hash is kept, and a signature that tells a planted row from one of ours.
CREATE TABLE api_token (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL,                  -- owner | policy | operator | auditor | helpdesk
  hash TEXT NOT NULL UNIQUE,           -- SHA-256 of the token, hex
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  used_at BIGINT,                      -- to within ten minutes
  signature BYTEA NOT NULL             -- Ed25519 over id, name, role, hash, created_at, created_by, expires_at
);

-- Answers to changes that carried an Idempotency-Key, for a day: the same request again gets the same answer and changes nothing.
CREATE TABLE api_answer (
  token TEXT NOT NULL,                 -- api_token.id
  key TEXT NOT NULL,
  request TEXT NOT NULL,               -- SHA-256 of method, target and body, hex
  at BIGINT NOT NULL,
  answer TEXT,                         -- JSON: status, headers, body; NULL while it is under way
  PRIMARY KEY (token, key)
);
CREATE INDEX api_answer_at ON api_answer (at);
