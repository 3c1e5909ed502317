DROP INDEX containers_project_engine_id;
DROP INDEX containers_engine_id;
