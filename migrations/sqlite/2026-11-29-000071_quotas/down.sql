DROP TABLE quota_classes;
DROP TABLE projects;
ALTER TABLE containers DROP COLUMN disk_gib;
