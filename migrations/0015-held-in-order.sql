-- compatible-from: 11
-- What is held is listed by when it was, a page at a time, and still counted from the index alone.
DROP INDEX recipient_held;
CREATE INDEX recipient_held ON recipient (next_attempt_at, message) WHERE state = 'held';
