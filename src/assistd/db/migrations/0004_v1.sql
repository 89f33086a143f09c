-- v1: the files linked to assistants, what a run keeps of them, and the stores that are made on the way.

ALTER TABLE runs ADD COLUMN retrieval boolean NOT NULL DEFAULT false;
ALTER TABLE runs ADD COLUMN file_ids json NOT NULL DEFAULT '[]';
ALTER TABLE vector_stores ADD COLUMN implicit boolean NOT NULL DEFAULT false;

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

-- A store that was made on the way for a client of v1 goes with what it was made for: that client cannot delete what it
-- does not know of.
CREATE FUNCTION drop_implicit_stores() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH gone AS (
        DELETE FROM vector_stores s
        USING json_array_elements_text(OLD.tool_resources #> '{file_search,vector_store_ids}') AS named (id)
        WHERE s.id = named.id AND s.implicit AND NOT EXISTS (
            SELECT FROM assistants WHERE (tool_resources::jsonb #> '{file_search,vector_store_ids}') ? s.id
        ) AND NOT EXISTS (
            SELECT FROM threads WHERE (tool_resources::jsonb #> '{file_search,vector_store_ids}') ? s.id
        )
        RETURNING s.id, s.project_id, s.seq
    )
    INSERT INTO tombstones (id, project_id, seq) SELECT id, project_id, seq FROM gone;
    RETURN NULL;
END
$$;

CREATE TRIGGER drop_implicit_stores AFTER DELETE ON assistants FOR EACH ROW
    WHEN (OLD.tool_resources #> '{file_search,vector_store_ids,0}' IS NOT NULL)
    EXECUTE FUNCTION drop_implicit_stores();
CREATE TRIGGER drop_implicit_stores AFTER DELETE ON threads FOR EACH ROW
    WHEN (OLD.tool_resources #> '{file_search,vector_store_ids,0}' IS NOT NULL)
    EXECUTE FUNCTION drop_implicit_stores();
