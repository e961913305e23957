-- compatible-from: 11
-- The start of the program looks whether a row names each blob file, and whether any does: with 100,000 messages waiting that read them all, and
-- their contents with them.
CREATE INDEX content_blob ON content (blob) WHERE blob IS NOT NULL;
