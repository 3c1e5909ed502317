-- Why consoles on the host cannot be dialled, as its agent says; absent where they can.
ALTER TABLE hosts ADD COLUMN console_trouble TEXT;
