-- compatible-from: 11
-- What metrics count: written in the same transaction as what is counted, so that none is lost or doubled.
CREATE TABLE counter (
  name TEXT NOT NULL,
  labels TEXT NOT NULL,                -- JSON, its names in the order of src/ops/counters.ts
  count BIGINT NOT NULL,
  PRIMARY KEY (name, labels)
);

-- How much waits and since when is read from the index alone, without the rows: with 100,000 waiting they took a second.
DROP INDEX recipient_due;
CREATE INDEX recipient_due ON recipient (next_attempt_at, message) WHERE state = 'waiting';
-- What is held, and letters that have not ended: few among many that are settled.
CREATE INDEX recipient_held ON recipient (message) WHERE state = 'held';
CREATE INDEX letter_live ON letter (state, ended_at) WHERE ended_at IS NULL;
