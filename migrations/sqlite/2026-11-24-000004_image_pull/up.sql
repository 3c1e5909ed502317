-- JSON: how the image of a container comes along, while it does.
ALTER TABLE containers ADD COLUMN image_pull TEXT;
