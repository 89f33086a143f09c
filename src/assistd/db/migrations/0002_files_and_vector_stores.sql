-- Files, uploads, vector stores and what file search leaves in runs.

ALTER TABLE runs ADD COLUMN include_results boolean NOT NULL DEFAULT false;
ALTER TABLE steps ADD COLUMN exchange json;
ALTER TABLE steps ADD COLUMN last_search integer;

-- --- files, and where their bytes are

CREATE TABLE files (
    id         text   PRIMARY KEY,
    project_id text   NOT NULL,
    seq        bigint NOT NULL DEFAULT nextval('object_seq'),
    created_at bigint NOT NULL DEFAULT unix_now(),
    expires_at bigint,
    bytes      bigint NOT NULL,
    filename   text   NOT NULL,
    purpose    text   NOT NULL,
    blobs      text[] NOT NULL     -- keys in the blob store; one after the other they are the file's content
);
CREATE INDEX files_list ON files (project_id, seq);
CREATE INDEX files_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE uploads (
    id                   text   PRIMARY KEY,
    project_id           text   NOT NULL,
    created_at           bigint NOT NULL DEFAULT unix_now(),
    expires_at           bigint NOT NULL,
    status               text   NOT NULL DEFAULT 'pending',
    bytes                bigint NOT NULL,
    filename             text   NOT NULL,
    purpose              text   NOT NULL,
    mime_type            text   NOT NULL,
    file_expires_seconds bigint,
    file_id              text   REFERENCES files ON DELETE SET NULL
);
CREATE INDEX uploads_expiry ON uploads (expires_at) WHERE status = 'pending';
CREATE INDEX uploads_file ON uploads (file_id) WHERE file_id IS NOT NULL;

CREATE TABLE upload_parts (
    id         text   PRIMARY KEY,
    upload_id  text   NOT NULL REFERENCES uploads ON DELETE CASCADE,
    created_at bigint NOT NULL DEFAULT unix_now(),
    bytes      bigint NOT NULL,
    blob       text                -- null once the file that the upload became owns it
);
CREATE INDEX upload_parts_list ON upload_parts (upload_id);

-- Blobs that no row owns: not yet, or not any more. Whoever writes a blob enters its key here first, due when an
-- honest write must have ended; the row that comes to own it takes it out in its own transaction; the row that goes
-- puts it back, due at once. What is due is swept. So a crash at any point leaves nothing behind for ever.
CREATE TABLE loose_blobs (
    key text        PRIMARY KEY,
    due timestamptz NOT NULL
);
CREATE INDEX loose_blobs_due ON loose_blobs (due);

CREATE FUNCTION loosen_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO loose_blobs (key, due) SELECT key, now() FROM unnest(OLD.blobs) AS key ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER loosen_file AFTER DELETE ON files FOR EACH ROW EXECUTE FUNCTION loosen_file();

CREATE FUNCTION loosen_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO loose_blobs (key, due) SELECT OLD.blob, now() WHERE OLD.blob IS NOT NULL ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER loosen_part AFTER DELETE ON upload_parts FOR EACH ROW EXECUTE FUNCTION loosen_part();

-- --- vector stores

CREATE TABLE vector_stores (
    id              text    PRIMARY KEY,
    key             bigint  GENERATED ALWAYS AS IDENTITY UNIQUE,  -- short, because every chunk carries it
    project_id      text    NOT NULL,
    seq             bigint  NOT NULL DEFAULT nextval('object_seq'),
    created_at      bigint  NOT NULL DEFAULT unix_now(),
    name            text,
    description     text,
    metadata        json    NOT NULL,
    expires_days    integer,
    last_active_at  bigint  NOT NULL DEFAULT unix_now(),
    expires_at      bigint  GENERATED ALWAYS AS (last_active_at + expires_days * 86400) STORED,
    embedding_model text    NOT NULL,  -- fixed at creation: vectors of two models do not mix
    dimensions      integer            -- known when the first file is in
);
CREATE INDEX vector_stores_list ON vector_stores (project_id, seq);
CREATE INDEX vector_stores_expiry ON vector_stores (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE vector_store_files (
    key               bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_key         bigint  NOT NULL REFERENCES vector_stores (key) ON DELETE CASCADE,
    file_id           text    NOT NULL REFERENCES files ON DELETE CASCADE,
    seq               bigint  NOT NULL DEFAULT nextval('object_seq'),
    created_at        bigint  NOT NULL DEFAULT unix_now(),
    status            text    NOT NULL DEFAULT 'in_progress',
    usage_bytes       bigint  NOT NULL DEFAULT 0,
    chunks            integer NOT NULL DEFAULT 0,
    last_error        json,
    chunking_strategy json    NOT NULL,
    attributes        json    NOT NULL,
    UNIQUE (store_key, file_id)
);
CREATE INDEX vector_store_files_list ON vector_store_files (store_key, seq);
CREATE INDEX vector_store_files_file ON vector_store_files (file_id);

-- A file may leave a store by itself, or be deleted: who pages through the store goes on from its place. It may come
-- and go several times; the last place counts. Where the store itself goes, nothing is left to page through.
CREATE FUNCTION mark_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tombstones (id, project_id, seq)
    SELECT id || '/' || OLD.file_id, project_id, OLD.seq FROM vector_stores WHERE key = OLD.store_key
    ON CONFLICT (id) DO UPDATE SET seq = EXCLUDED.seq, deleted_at = unix_now();
    RETURN NULL;
END
$$;

CREATE TRIGGER mark_place AFTER DELETE ON vector_store_files FOR EACH ROW EXECUTE FUNCTION mark_place();

CREATE TABLE vector_store_batches (
    id         text    PRIMARY KEY,
    store_key  bigint  NOT NULL REFERENCES vector_stores (key) ON DELETE CASCADE,
    created_at bigint  NOT NULL DEFAULT unix_now(),
    cancelled  boolean NOT NULL DEFAULT false
);
CREATE INDEX vector_store_batches_store ON vector_store_batches (store_key);

CREATE TABLE vector_store_batch_files (
    batch_id text   NOT NULL REFERENCES vector_store_batches ON DELETE CASCADE,
    file_key bigint NOT NULL REFERENCES vector_store_files ON DELETE CASCADE,
    PRIMARY KEY (batch_id, file_key)
);
CREATE INDEX vector_store_batch_files_file ON vector_store_batch_files (file_key);

-- The passages of a file that search finds. They are written in one transaction with their file's completion.
CREATE TABLE chunks (
    file_key  bigint   NOT NULL REFERENCES vector_store_files ON DELETE CASCADE,
    number    integer  NOT NULL,
    store_key bigint   NOT NULL,
    text      text     NOT NULL,
    embedding halfvec  NOT NULL,
    words     tsvector NOT NULL,
    PRIMARY KEY (file_key, number)
);
CREATE INDEX chunks_store ON chunks (store_key);
-- What was written last waits in a list that every search reads: kept short.
CREATE INDEX chunks_words ON chunks USING gin (words) WITH (gin_pending_list_limit = 1024);

-- Which assistants and threads name a vector store or a file that goes away.
CREATE INDEX assistants_stores ON assistants USING gin ((tool_resources::jsonb #> '{file_search,vector_store_ids}'));
CREATE INDEX assistants_files ON assistants USING gin ((tool_resources::jsonb #> '{code_interpreter,file_ids}'));
CREATE INDEX threads_stores ON threads USING gin ((tool_resources::jsonb #> '{file_search,vector_store_ids}'));
CREATE INDEX threads_files ON threads USING gin ((tool_resources::jsonb #> '{code_interpreter,file_ids}'));
