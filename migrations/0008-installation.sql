-- Which keys this database belongs to, written at the first start: a database or a folder of keys that was lost must not be replaced by an
-- empty one without a word.
CREATE TABLE installation (
  keys TEXT PRIMARY KEY,               -- fingerprint of the permanent keys, hex
  since BIGINT NOT NULL
);
