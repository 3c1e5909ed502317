-- Each filter of a list has an index with the default order, so that a page of a long list costs what one of a short list
-- costs.
CREATE INDEX containers_project_user ON containers (project_id, user_id, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_host ON containers (project_id, host, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_auto_remove ON containers (project_id, auto_remove, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_task_state ON containers (project_id, task_state, id)
    WHERE deleted_at IS NULL AND task_state IS NOT NULL;
