DROP INDEX containers_on_host;
