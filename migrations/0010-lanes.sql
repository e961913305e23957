-- What is due is found by destination and author, however much waits: a lane is the mail of one author to one domain.
-- compatible-from: 9
ALTER TABLE recipient ADD COLUMN sender TEXT NOT NULL DEFAULT '';      -- the message's header_from
ALTER TABLE recipient ADD COLUMN code BIGINT NOT NULL DEFAULT 0;       -- 1: code mail, which has places of its own
UPDATE recipient SET sender = (SELECT header_from FROM message WHERE message.id = recipient.message),
  code = (SELECT CASE WHEN kind = 'code' THEN 1 ELSE 0 END FROM message WHERE message.id = recipient.message)
  WHERE state IN ('waiting', 'held');
CREATE INDEX recipient_lane ON recipient (domain, sender, next_attempt_at) WHERE state = 'waiting';
CREATE INDEX recipient_code ON recipient (next_attempt_at) WHERE state = 'waiting' AND code = 1;
