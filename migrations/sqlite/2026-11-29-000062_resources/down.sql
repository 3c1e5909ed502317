DROP TABLE resource_uses;
DROP TABLE resources;
