-- v1: the files linked to assistants, and what a run keeps of them.

ALTER TABLE runs ADD COLUMN retrieval boolean NOT NULL DEFAULT false;
ALTER TABLE runs ADD COLUMN file_ids json NOT NULL DEFAULT '[]';

-- --- v1

-- The files that a client of v1 has given to an assistant. What the tools may use stands in the assistant's
-- `tool_resources`, which whoever writes here keeps in step.
CREATE TABLE assistant_files (
    assistant_id text   NOT NULL REFERENCES assistants ON DELETE CASCADE,
    file_id      text   NOT NULL REFERENCES files ON DELETE CASCADE,
    seq          bigint NOT NULL DEFAULT nextval('object_seq'),
    created_at   bigint NOT NULL DEFAULT unix_now(),
    PRIMARY KEY (assistant_id, file_id)
);
CREATE INDEX assistant_files_list ON assistant_files (assistant_id, seq);
CREATE INDEX assistant_files_file ON assistant_files (file_id);

-- As `mark_place`: who pages through an assistant's files goes on from where one was.
CREATE FUNCTION mark_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tombstones (id, project_id, seq)
    SELECT id || '/' || OLD.file_id, project_id, OLD.seq FROM assistants WHERE id = OLD.assistant_id
    ON CONFLICT (id) DO UPDATE SET seq = EXCLUDED.seq, deleted_at = unix_now();
    RETURN NULL;
END
$$;

CREATE TRIGGER mark_link AFTER DELETE ON assistant_files FOR EACH ROW EXECUTE FUNCTION mark_link();

-- A run keeps the files that its assistant had when it was created.
CREATE FUNCTION copy_links() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.file_ids := COALESCE(
        (SELECT array_to_json(array_agg(file_id ORDER BY seq))
         FROM assistant_files WHERE assistant_id = NEW.assistant_id),
        '[]'
    );
    RETURN NEW;
END
$$;

CREATE TRIGGER copy_links BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION copy_links();
