-- The database as it is today. `migrations/` must build exactly this; a test compares the two.
--
-- Conventions: times of the wire are bigint Unix seconds; payloads of the wire are `json`, not
-- `jsonb`, because clients get back what they sent, key order included. `seq` is the insertion
-- order that lists and cursors follow: several objects share one second. Objects name their
-- project without a foreign key: every insert would lock the one row of its project.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE FUNCTION unix_now() RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN floor(extract(epoch FROM now()))::bigint;

CREATE TABLE projects (
    id         text   PRIMARY KEY,
    name       text   NOT NULL UNIQUE,
    created_at bigint NOT NULL DEFAULT unix_now()
);

INSERT INTO projects (id, name) VALUES ('proj_default', 'default');

CREATE TABLE api_keys (
    id         text   PRIMARY KEY,
    project_id text   NOT NULL REFERENCES projects,
    name       text   NOT NULL,
    hash       bytea  NOT NULL UNIQUE,   -- SHA-256 of the key; the key itself is shown once and not kept
    hint       text   NOT NULL,          -- its first and last characters, to tell keys apart
    created_at bigint NOT NULL DEFAULT unix_now(),
    revoked_at bigint
);

-- One order for everything a client lists. Messages and steps of a thread share it, so that the
-- history a model sees can merge them.
CREATE SEQUENCE object_seq;

-- The place of a deleted object in its list, so that a cursor on it still works: clients page
-- through a list while they delete what they find.
CREATE TABLE tombstones (
    id         text   PRIMARY KEY,
    project_id text   NOT NULL,
    seq        bigint NOT NULL,
    deleted_at bigint NOT NULL DEFAULT unix_now()
);

CREATE TABLE assistants (
    id               text   PRIMARY KEY,
    project_id       text   NOT NULL,
    seq              bigint NOT NULL DEFAULT nextval('object_seq'),
    created_at       bigint NOT NULL DEFAULT unix_now(),
    name             text,
    description      text,
    model            text   NOT NULL,
    instructions     text,
    tools            json   NOT NULL,
    tool_resources   json   NOT NULL,
    metadata         json   NOT NULL,
    temperature      double precision NOT NULL,
    top_p            double precision NOT NULL,
    response_format  json   NOT NULL,
    reasoning_effort text
);
CREATE INDEX assistants_list ON assistants (project_id, seq);

CREATE TABLE threads (
    id             text   PRIMARY KEY,
    project_id     text   NOT NULL,
    seq            bigint NOT NULL DEFAULT nextval('object_seq'),
    created_at     bigint NOT NULL DEFAULT unix_now(),
    tool_resources json   NOT NULL,
    metadata       json   NOT NULL,
    active_run_id  text            -- the lock: no second run and no message while it is set
) WITH (fillfactor = 80);
CREATE INDEX threads_list ON threads (project_id, seq);

-- What a thread can be found by, as numbers: its metadata's pairs of key and value, and of the values each character
-- and each two that stand side by side, in lower case. All of it within the project, so that a search goes through no
-- other's. Two things may get the same number: who searches looks at what was found.
CREATE FUNCTION thread_terms(project_id text, metadata json) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        SELECT array_agg(DISTINCT hashtextextended(project_id || term, 0))
        FROM json_each_text(metadata) AS entry (key, value), LATERAL (
            SELECT '=' || key || '=' || value
            UNION ALL
            SELECT '~' || unnest(ARRAY[c, c || lead(c) OVER (ORDER BY place)])
            FROM string_to_table(lower(value), NULL) WITH ORDINALITY AS characters (c, place)
        ) AS found (term)
    );

-- The terms of every thread with this metadata, and with a value that contains the text, if one is given.
CREATE FUNCTION sought_terms(project_id text, metadata jsonb, text text) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        SELECT array_agg(DISTINCT hashtextextended(project_id || term, 0))
        FROM (
            SELECT '=' || key || '=' || value FROM jsonb_each_text(metadata) AS entry (key, value)
            UNION ALL
            SELECT CASE length(text) WHEN 1 THEN '~' || c ELSE '~' || c || lead(c) OVER (ORDER BY place) END
            FROM string_to_table(lower(text), NULL) WITH ORDINALITY AS characters (c, place)
        ) AS sought (term)
        WHERE term IS NOT NULL
    );

-- Most threads have no metadata and cost nothing here. What was written last waits in a list that every search reads:
-- kept short. Nothing is ever chosen by how many threads share a term, so nobody needs to count them.
CREATE INDEX threads_terms ON threads USING gin (thread_terms(project_id, metadata))
    WITH (gin_pending_list_limit = 256) WHERE metadata::text <> '{}';
ALTER INDEX threads_terms ALTER COLUMN 1 SET STATISTICS 0;

CREATE TABLE messages (
    id                text   PRIMARY KEY,
    thread_id         text   NOT NULL REFERENCES threads ON DELETE CASCADE,
    seq               bigint NOT NULL DEFAULT nextval('object_seq'),
    created_at        bigint NOT NULL DEFAULT unix_now(),
    role              text   NOT NULL,
    status            text   NOT NULL DEFAULT 'completed',
    incomplete_reason text,
    completed_at      bigint,
    incomplete_at     bigint,
    content           json   NOT NULL,
    attachments       json   NOT NULL,
    metadata          json   NOT NULL,
    assistant_id      text,
    run_id            text
);
CREATE INDEX messages_list ON messages (thread_id, seq);

CREATE TABLE runs (
    id                    text   PRIMARY KEY,
    project_id            text   NOT NULL,
    thread_id             text   NOT NULL REFERENCES threads ON DELETE CASCADE,
    assistant_id          text   NOT NULL,
    seq                   bigint NOT NULL DEFAULT nextval('object_seq'),
    lease                 bigint NOT NULL DEFAULT 0,  -- raised by every claim; a write under an older one changes nothing
    status                text   NOT NULL DEFAULT 'queued',
    created_at            bigint NOT NULL DEFAULT unix_now(),
    started_at            bigint,
    expires_at            bigint NOT NULL,            -- kept to the end; the wire shows it while the run is active
    cancelled_at          bigint,
    failed_at             bigint,
    completed_at          bigint,
    required_action       json,
    last_error            json,
    incomplete_reason     text,
    model                 text   NOT NULL,
    instructions          text,
    tools                 json   NOT NULL,
    tool_resources        json   NOT NULL,
    metadata              json   NOT NULL,
    temperature           double precision NOT NULL,
    top_p                 double precision NOT NULL,
    reasoning_effort      text,
    max_prompt_tokens     integer,
    max_completion_tokens integer,
    truncation_strategy   json   NOT NULL,
    tool_choice           json   NOT NULL,
    parallel_tool_calls   boolean NOT NULL,
    response_format       json   NOT NULL,
    prompt_tokens         bigint NOT NULL DEFAULT 0,
    completion_tokens     bigint NOT NULL DEFAULT 0,
    cached_tokens         bigint NOT NULL DEFAULT 0,
    reasoning_tokens      bigint NOT NULL DEFAULT 0,
    include_results       boolean NOT NULL DEFAULT false, -- its stream shows what file search found, word for word
    retrieval             boolean NOT NULL DEFAULT false, -- of v1: waits for all files, and small ones are in the prompt
    file_ids              json    NOT NULL DEFAULT '[]'   -- of v1: the files that its assistant had; see `copy_links`
) WITH (fillfactor = 70);
CREATE INDEX runs_list ON runs (thread_id, seq);

CREATE TABLE steps (
    id                text   PRIMARY KEY,
    run_id            text   NOT NULL REFERENCES runs ON DELETE CASCADE,
    thread_id         text   NOT NULL,
    assistant_id      text   NOT NULL,
    seq               bigint NOT NULL DEFAULT nextval('object_seq'),
    type              text   NOT NULL,
    status            text   NOT NULL DEFAULT 'in_progress',
    created_at        bigint NOT NULL DEFAULT unix_now(),
    expires_at        bigint NOT NULL,
    cancelled_at      bigint,
    completed_at      bigint,
    expired_at        bigint,
    failed_at         bigint,
    last_error        json,
    step_details      json   NOT NULL,
    prompt_tokens     bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cached_tokens     bigint NOT NULL DEFAULT 0,
    reasoning_tokens  bigint NOT NULL DEFAULT 0,
    exchange          json,             -- what the model said and heard in calls of the server's tools; not on the wire
    last_search       integer           -- the number of the last search that its answers may cite, in the thread
) WITH (fillfactor = 80);
CREATE INDEX steps_list ON steps (run_id, seq);
CREATE INDEX steps_history ON steps (thread_id, seq) WHERE type = 'tool_calls';

-- The log of every stream, as the frames that went out. One row holds the frames that one write
-- of one run had gathered. (lease, number) orders the events of a run: the number goes on from one
-- worker to the next, and what a worker wrote after it lost its lease sorts before its successor's.
-- No foreign key, as its check for every row would cost more than the row: a trigger on `runs` cleans up.
CREATE TABLE run_events (
    run_id       text   NOT NULL,
    lease        bigint NOT NULL,
    first_number bigint NOT NULL,
    last_number  bigint NOT NULL,
    frames       text   NOT NULL,
    written_at   bigint NOT NULL DEFAULT unix_now(),
    PRIMARY KEY (run_id, lease, first_number)
);
CREATE INDEX run_events_age ON run_events USING brin (written_at);

-- What was sent to the model in each turn of a run: the body of the request, for those who want to see why it answered
-- as it did. A turn that is done again has what was sent last. Kept as long as the events, and like them without a
-- foreign key.
CREATE TABLE run_prompts (
    run_id     text    NOT NULL,
    turn       integer NOT NULL,   -- of the run, from 1
    created_at bigint  NOT NULL,
    shortened  boolean NOT NULL,   -- pictures, or what was too long, are not in the body any more
    body       bytea   NOT NULL,   -- JSON; a long one is compressed (zlib)
    PRIMARY KEY (run_id, turn)
);
-- PostgreSQL would try once more, and take five times as long.
ALTER TABLE run_prompts ALTER body SET STORAGE EXTERNAL;
CREATE INDEX run_prompts_age ON run_prompts USING brin (created_at);

-- The queue. A job may be claimed when `due` has come. A claim moves `due` a lease ahead and raises `attempt`; a
-- heartbeat moves it again; whoever lets it pass is presumed dead, and the job is there for the next worker. A job that
-- waits (a run for its tool outputs) is due at its deadline. Jobs that are `ready` wait for a worker and nothing else:
-- they are found project by project; those with a time of their own are found by that.
CREATE TABLE jobs (
    kind    text        NOT NULL,
    key     text        NOT NULL,
    due     timestamptz NOT NULL DEFAULT now(),
    attempt bigint      NOT NULL DEFAULT 0,
    worker  text,
    lost    integer     NOT NULL DEFAULT 0,  -- claims of whose worker nothing was heard again
    project_id text     NOT NULL DEFAULT '',
    ready   boolean     NOT NULL DEFAULT true,
    PRIMARY KEY (kind, key)
) WITH (fillfactor = 70);
CREATE INDEX jobs_ready ON jobs (kind, project_id, due) WHERE ready;
CREATE INDEX jobs_timed ON jobs (kind, due) WHERE NOT ready;

CREATE FUNCTION forget_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM jobs WHERE kind = 'run' AND key = OLD.id;
    DELETE FROM run_events WHERE run_id = OLD.id;
    DELETE FROM run_prompts WHERE run_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_run AFTER DELETE ON runs FOR EACH ROW EXECUTE FUNCTION forget_run();

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
    dimensions      integer,           -- known when the first file is in
    implicit        boolean NOT NULL DEFAULT false  -- of v1, whose clients know of no stores; see `drop_implicit_stores`
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
