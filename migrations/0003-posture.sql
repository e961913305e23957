-- What is known of other domains' TLS: their MTA-STS policies, when verified TLS was last seen, and how sessions ended.

-- A domain's MTA-STS policy as last fetched (RFC 8461 §3.3); it binds us until it expires, whatever happens to its record and its host.
CREATE TABLE sts_policy (
  domain TEXT PRIMARY KEY,
  id TEXT NOT NULL,                    -- of the TXT record that announced it
  mode TEXT NOT NULL,                  -- enforce | testing | none
  mx TEXT NOT NULL,                    -- JSON: host names and *.suffixes
  max_age BIGINT NOT NULL,             -- seconds
  fetched_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL              -- last asked for by a delivery, to a day; what nobody asks for is not refreshed
);
CREATE INDEX sts_policy_expires ON sts_policy (expires_at);

-- The ratchet: the last delivery over TLS that proved the next hop, found by MX.
CREATE TABLE posture (
  domain TEXT PRIMARY KEY,
  verified_at BIGINT NOT NULL,         -- to an hour
  assurance TEXT NOT NULL,             -- verified | authenticated | dane
  identity TEXT NOT NULL,              -- by what: webpki, sts, dane …
  host TEXT NOT NULL
);

-- TLS sessions a day, for reports (RFC 8460 §4).
CREATE TABLE tls_tally (
  day TEXT NOT NULL,                   -- 2026-01-03, UTC
  domain TEXT NOT NULL,
  policy TEXT NOT NULL,                -- sts | tlsa | no-policy-found
  result TEXT NOT NULL,                -- success, or a reason code
  host TEXT NOT NULL,                  -- the MX host; '' when none was asked
  sessions BIGINT NOT NULL,
  PRIMARY KEY (day, domain, policy, result, host)
);
