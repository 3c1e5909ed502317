DROP INDEX containers_engine_id;
