-- When the last of too many agents ended that may have been at work on this removal. It is tried again an hour later.
ALTER TABLE operations ADD COLUMN given_up_at TIMESTAMP;
