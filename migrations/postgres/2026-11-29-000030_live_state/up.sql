-- JSON: what is true of a container only while it runs: its health, its addresses and its published ports.
ALTER TABLE containers ADD COLUMN live TEXT;
