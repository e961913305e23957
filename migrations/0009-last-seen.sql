-- The last time that the clock was believed, by which a start notices that it has jumped.
ALTER TABLE installation ADD COLUMN seen_at BIGINT;
