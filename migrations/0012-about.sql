-- compatible-from: 11
-- What is about a letter or a message is found by it: the sender's page looks for the notice that waits. Only mail of our own is about something.
CREATE INDEX message_about ON message (about) WHERE about IS NOT NULL;

-- How often a letter was handed over within an hour (limits.handOversPerHour).
CREATE INDEX audit_handed_over ON audit (object, at) WHERE action = 'letter.handed-over';
