-- The code interpreter: whose session a sandbox is, and the files that its code wrote.

-- --- the code interpreter

-- Which sandbox has the variables of a thread's code: `session` is its id, and lives no longer than a process; another
-- than a process has at hand means that what it has is out of date. Files are the same wherever the code runs.
CREATE TABLE code_sessions (
    thread_id text   PRIMARY KEY REFERENCES threads ON DELETE CASCADE,
    session   text   NOT NULL,
    worker    text   NOT NULL,       -- the process that has it; empty where it is not there
    inputs    jsonb  NOT NULL,       -- what is in /mnt/data under which name: {name: file id}
    used_at   bigint NOT NULL DEFAULT unix_now()
);

CREATE FUNCTION forget_code_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('assistd_code_sessions', OLD.thread_id);
    RETURN NULL;
END $$;

-- Its process hears that the thread is gone, and ends it.
CREATE TRIGGER forget_code_session AFTER DELETE ON code_sessions FOR EACH ROW EXECUTE FUNCTION forget_code_session();

-- Files that the code of a thread wrote to /mnt/data, for its later sessions. One that an answer named is a file of
-- clients too: `file_id` then has its content, and `blobs` is empty.
CREATE TABLE code_files (
    thread_id text   NOT NULL REFERENCES threads ON DELETE CASCADE,
    path      text   NOT NULL,       -- below /mnt/data
    bytes     bigint NOT NULL,
    digest    bytea  NOT NULL,       -- SHA-256 of the content: the same written once more is no other file
    blobs     text[] NOT NULL,
    file_id   text   REFERENCES files ON DELETE CASCADE,
    PRIMARY KEY (thread_id, path)
);
CREATE INDEX code_files_file ON code_files (file_id) WHERE file_id IS NOT NULL;

CREATE TRIGGER loosen_code_file AFTER DELETE ON code_files FOR EACH ROW EXECUTE FUNCTION loosen_file();
-- New content; a file that becomes one of clients gives its blobs to it.
CREATE TRIGGER loosen_old_content AFTER UPDATE OF blobs ON code_files FOR EACH ROW
    WHEN (NEW.file_id IS NULL) EXECUTE FUNCTION loosen_file();
