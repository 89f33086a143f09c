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
    reasoning_tokens      bigint NOT NULL DEFAULT 0
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
    reasoning_tokens  bigint NOT NULL DEFAULT 0
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

-- The queue. A job is ready when `due` has come. A claim moves `due` a lease ahead and raises
-- `attempt`; a heartbeat moves it again; whoever lets it pass is presumed dead, and the job is
-- ready for the next worker. A job that waits (a run for its tool outputs) is due at its deadline.
CREATE TABLE jobs (
    kind    text        NOT NULL,
    key     text        NOT NULL,
    due     timestamptz NOT NULL DEFAULT now(),
    attempt bigint      NOT NULL DEFAULT 0,
    worker  text,
    PRIMARY KEY (kind, key)
) WITH (fillfactor = 70);
CREATE INDEX jobs_due ON jobs (due);

CREATE FUNCTION forget_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM jobs WHERE kind = 'run' AND key = OLD.id;
    DELETE FROM run_events WHERE run_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_run AFTER DELETE ON runs FOR EACH ROW EXECUTE FUNCTION forget_run();
