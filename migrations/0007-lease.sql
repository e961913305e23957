-- Work that one process at a time does among all that share a PostgreSQL database.
-- compatible-from: 6
CREATE TABLE lease (
  name TEXT PRIMARY KEY,               -- audit, expiry …
  holder TEXT NOT NULL,                -- random, anew with each start of a process
  until BIGINT NOT NULL
);
