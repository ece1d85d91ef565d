-- Jobs. Times are milliseconds since 1970 in UTC, but for shelved: see expire.go.
CREATE TABLE jobs (
    number   INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of their arrival
    id       TEXT    NOT NULL UNIQUE,
    user     TEXT    NOT NULL,
    key      TEXT,                              -- of a request that may be repeated
    request  BLOB    NOT NULL,
    state    TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    cancel   INTEGER NOT NULL DEFAULT 0,        -- asked for while it ran
    begun    INTEGER NOT NULL DEFAULT 0,        -- it ran before the last restart: it goes first
    deaths   INTEGER NOT NULL DEFAULT 0,        -- of the process, since the job got on
    created  INTEGER NOT NULL,
    started  INTEGER,                           -- the first time
    ended    INTEGER,
    shelved  INTEGER,                           -- when it ended, by the clock that Keep is counted with
    spent    INTEGER NOT NULL DEFAULT 0,        -- milliseconds of running
    disk     INTEGER NOT NULL,                  -- bytes: an estimate until it has ended
    error    TEXT    NOT NULL DEFAULT '',
    progress TEXT    NOT NULL DEFAULT '{}'
) STRICT;

CREATE UNIQUE INDEX jobs_key ON jobs (user, key) WHERE key IS NOT NULL;
CREATE INDEX jobs_state ON jobs (state, user);

-- When each user's turn was last.
CREATE TABLE turns (
    user TEXT    PRIMARY KEY,
    turn INTEGER NOT NULL
) STRICT;

-- Deleted jobs whose files may still be there.
CREATE TABLE deleted (
    id TEXT PRIMARY KEY
) STRICT;

-- One row: see expire.go.
CREATE TABLE clock (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    wall  INTEGER NOT NULL,
    shelf INTEGER NOT NULL
) STRICT;
