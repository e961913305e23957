-- Epochs whose key is destroyed: a process that slept with a message wrapped by it cannot write that message any more, for nobody could open it.
CREATE TABLE epoch_destroyed (
  epoch TEXT PRIMARY KEY,
  at BIGINT NOT NULL                   -- rows of the last 30 days are kept
);
