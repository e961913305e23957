-- What daily probes find out about the mail hosts of the domains that are written to.

-- One domain as it is now.
CREATE TABLE probed_domain (
  domain TEXT PRIMARY KEY,
  posture TEXT,                        -- authenticated | verified | encrypted | clear: the last one that could be told; NULL before
  since BIGINT,                        -- when the posture was first seen
  fallen_from TEXT,                    -- the posture before a downgrade, until it is reached again
  last_at BIGINT,                      -- NULL: not probed yet
  next_at BIGINT NOT NULL,
  written_at BIGINT NOT NULL           -- when mail for it was last accepted
);
CREATE INDEX probed_domain_next ON probed_domain (next_at);

-- One probe, kept for the history.
CREATE TABLE probe (
  domain TEXT NOT NULL,
  at BIGINT NOT NULL,
  posture TEXT NOT NULL,               -- as above, or unreachable | no-mail | unknown
  reason TEXT,                         -- reason code: why it is not better
  facts TEXT NOT NULL,                 -- JSON: the check, as `domain check --json` prints it, without its steps
  PRIMARY KEY (domain, at)
);
CREATE INDEX probe_at ON probe (at);
