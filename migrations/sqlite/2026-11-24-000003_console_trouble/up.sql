-- Why clients cannot dial consoles on the host, as its agent reports. NULL if they can.
ALTER TABLE hosts ADD COLUMN console_trouble TEXT;
