-- Policy revisions are signed: one that was planted or altered in the database decides nothing.
ALTER TABLE policy_revision ADD COLUMN signature BYTEA;  -- Ed25519 over the row; NULL: applied before there were signatures
