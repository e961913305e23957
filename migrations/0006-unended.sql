-- How many attempts at a recipient were begun and never settled: each is a crash, or a claim that was lost. After three it is not attempted
-- any more but held.
-- compatible-from: 5
ALTER TABLE recipient ADD COLUMN unended BIGINT NOT NULL DEFAULT 0;
CREATE INDEX recipient_suspect ON recipient (claimed_until) WHERE state = 'waiting' AND unended >= 2;
