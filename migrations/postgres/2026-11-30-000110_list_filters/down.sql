DROP INDEX containers_project_task_state;
DROP INDEX containers_project_auto_remove;
DROP INDEX containers_project_host;
DROP INDEX containers_project_user;
