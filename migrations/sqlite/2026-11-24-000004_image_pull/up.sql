-- JSON: progress of the image pull, while it runs.
ALTER TABLE containers ADD COLUMN image_pull TEXT;
