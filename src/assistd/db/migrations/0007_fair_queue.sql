-- Jobs are claimed in fair shares by project. Those that are `ready` wait for a worker; the others have a time of their
-- own: the end of a lease, a pause, a deadline.
ALTER TABLE jobs
    ADD project_id text    NOT NULL DEFAULT '',
    ADD ready      boolean NOT NULL DEFAULT true;

UPDATE jobs SET project_id = runs.project_id FROM runs WHERE jobs.kind = 'run' AND jobs.key = runs.id;
UPDATE jobs SET project_id = s.project_id
FROM vector_store_files f JOIN vector_stores s ON s.key = f.store_key
WHERE jobs.kind = 'ingest' AND jobs.key = f.key::text;
UPDATE jobs SET ready = false WHERE worker IS NOT NULL OR due > now();

DROP INDEX jobs_due;
CREATE INDEX jobs_ready ON jobs (kind, project_id, due) WHERE ready;
CREATE INDEX jobs_timed ON jobs (kind, due) WHERE NOT ready;
