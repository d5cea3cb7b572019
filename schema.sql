-- The whole schema of zmart-lite, as a new database gets it. An older database gets there by zmart_lite/store/engine/migrations/.
--
-- Written in the SQL that SQLite and Postgres share; the Postgres dialect replaces INTEGER PRIMARY KEY, BLOB and STRICT.
--   * Public keys, market ids, hashes and signatures are BLOBs of raw bytes; text forms exist only at the edges.
--   * u64 amounts (lamports; shares with 9 decimals) are TEXT of exactly 20 digits, zero-padded: exact up to 2^64-1 and
--     ordered like numbers. Sums that may pass 2^64 and signed amounts are plain decimal TEXT, computed in Python.
--   * *_at is chain time in unix seconds where the chain tells it, wall time in unix milliseconds where the name ends in _ms.
--   * Booleans are 0 and 1.
--   * Of what is written for every transaction the checks compare one by one: for an IN of more than two values SQLite
--     builds a table with every row, which takes longer than keeping an index.
--   * SQLite ends each index with the id, which an index therefore leaves out; the Postgres dialect adds it.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,             -- schema_version, genesis_hash, program_id, database_id
    value TEXT NOT NULL
) STRICT;

-- ---------------------------------------------------------------------------------------------------------------------
-- The chain's log: transactions, events, and how far each source has been read

CREATE TABLE wallets (
    id            INTEGER PRIMARY KEY,
    address       BLOB NOT NULL UNIQUE,
    first_seen_ms INTEGER NOT NULL
) STRICT;

-- What a webhook or the poller brought and the indexer has not finished with. A 200 to a webhook means: it is here.
CREATE TABLE inbox (
    id             INTEGER PRIMARY KEY,
    signature      BLOB NOT NULL UNIQUE,
    slot           INTEGER,
    source         TEXT NOT NULL CHECK (source = 'webhook' OR source = 'poll' OR source = 'backfill' OR source = 'relay'
        OR source = 'logs'),
    payload        BLOB,                -- the item as received; NULL: fetch the transaction by RPC
    attempts       INTEGER NOT NULL DEFAULT 0,
    error          TEXT,
    next_try_ms    INTEGER NOT NULL DEFAULT 0,
    received_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX inbox_by_next_try ON inbox (next_try_ms, slot);
CREATE INDEX inbox_by_slot ON inbox (slot);

CREATE TABLE transactions (
    id             INTEGER PRIMARY KEY,
    signature      BLOB NOT NULL UNIQUE,
    slot           INTEGER NOT NULL,
    index_in_block INTEGER,             -- NULL: not told by the source; looked up where a slot holds several of ours
    block_time     INTEGER,
    failed         INTEGER NOT NULL CHECK (failed IN (0, 1)),
    complete       INTEGER NOT NULL CHECK (complete IN (0, 1)),  -- 0: the runtime truncated its logs
    finality       INTEGER NOT NULL CHECK (finality IN (1, 2)),  -- 1 confirmed, 2 finalized
    source         TEXT NOT NULL CHECK (source = 'webhook' OR source = 'poll' OR source = 'backfill' OR source = 'relay'
        OR source = 'logs'),
    checked        INTEGER NOT NULL DEFAULT 1 CHECK (checked IN (0, 1)), -- 0: known by a delivery's own words only
    created_ms     INTEGER NOT NULL
) STRICT;
CREATE INDEX transactions_by_slot ON transactions (slot);
CREATE INDEX transactions_unfinalized ON transactions (slot) WHERE finality = 1;
CREATE INDEX transactions_failed ON transactions (created_ms) WHERE failed = 1;

CREATE TABLE events (
    id             INTEGER PRIMARY KEY,
    transaction_id INTEGER NOT NULL REFERENCES transactions (id),
    event_index    INTEGER NOT NULL,    -- among the program's events of the transaction, from 0
    event_type     TEXT NOT NULL,
    is_trade       INTEGER NOT NULL GENERATED ALWAYS AS
        (CASE WHEN event_type IN ('SharesBought', 'SharesSold') THEN 1 ELSE 0 END) VIRTUAL,
    market         INTEGER REFERENCES markets (id),
    wallet         INTEGER REFERENCES wallets (id),
    slot           INTEGER NOT NULL,    -- slot and index_in_block repeat the transaction's, for the order of the log
    index_in_block INTEGER NOT NULL,    -- 0 while unknown
    timestamp      INTEGER NOT NULL,
    data           BLOB NOT NULL,       -- discriminator and Borsh, as emitted
    facts          TEXT,                -- JSON: what the event leaves out, from the instruction's own data
    UNIQUE (transaction_id, event_index)
) STRICT;
-- Chain order is slot, index_in_block, id. The trades of a market or wallet stand together, for the lists of trades, which
-- need no indexes of their own; its whole log is both parts, merged (event_log).
CREATE INDEX events_in_order ON events (slot, index_in_block);
CREATE INDEX events_traded ON events (slot, index_in_block) WHERE is_trade = 1;
CREATE INDEX events_by_market ON events (market, is_trade, slot, index_in_block);
CREATE INDEX events_by_wallet ON events (wallet, is_trade, slot, index_in_block);
CREATE INDEX events_by_type ON events (event_type, slot, index_in_block);
CREATE INDEX events_by_time ON events (timestamp);

CREATE VIEW event_log AS SELECT * FROM events WHERE is_trade = 0 UNION ALL SELECT * FROM events WHERE is_trade = 1;

-- What could not be decoded or applied: kept with the reason, visible, retryable.
CREATE TABLE dead_letters (
    id            INTEGER PRIMARY KEY,
    kind          TEXT NOT NULL CHECK (kind IN ('delivery', 'transaction', 'event', 'truncated')),
    signature     BLOB,
    event_index   INTEGER,
    slot          INTEGER,
    payload       BLOB,
    error         TEXT NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 1,
    first_seen_ms INTEGER NOT NULL,
    last_tried_ms INTEGER NOT NULL,
    resolved_ms   INTEGER,
    resolution    TEXT                  -- how it ended
) STRICT;
CREATE INDEX dead_letters_open ON dead_letters (id) WHERE resolved_ms IS NULL;
CREATE INDEX dead_letters_resolved ON dead_letters (id) WHERE resolved_ms IS NOT NULL;
CREATE INDEX dead_letters_by_kind ON dead_letters (kind, signature) WHERE resolved_ms IS NULL;
CREATE INDEX dead_letters_to_retry ON dead_letters (last_tried_ms) WHERE resolved_ms IS NULL AND signature IS NOT NULL;
CREATE INDEX dead_letters_by_end ON dead_letters (resolved_ms) WHERE resolved_ms IS NOT NULL;
CREATE INDEX dead_letters_with_payload ON dead_letters (last_tried_ms) WHERE payload IS NOT NULL;
CREATE UNIQUE INDEX dead_letters_once ON dead_letters (signature, kind, event_index) WHERE signature IS NOT NULL;

-- Where polling continues: everything of `address` up to `slot` has been seen, apart from the overlap re-read each time.
CREATE TABLE cursors (
    address    BLOB PRIMARY KEY,
    slot       INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

-- ---------------------------------------------------------------------------------------------------------------------
-- Projections: the fold of the events in chain order

-- Every version of the global config, by the place in the log from which it holds.
CREATE TABLE configs (
    id                          INTEGER PRIMARY KEY,
    slot                        INTEGER NOT NULL,
    index_in_block              INTEGER NOT NULL,
    event_id                    INTEGER UNIQUE REFERENCES events (id),  -- NULL: read from the account
    admin                       BLOB NOT NULL,
    backend_authority           BLOB NOT NULL,
    protocol_fee_wallet         BLOB NOT NULL,
    protocol_fee_bps            INTEGER NOT NULL,
    resolver_reward_bps         INTEGER NOT NULL,
    liquidity_provider_fee_bps  INTEGER NOT NULL,
    proposal_approval_threshold INTEGER NOT NULL,
    dispute_success_threshold   INTEGER NOT NULL,
    min_resolution_delay        INTEGER NOT NULL,
    dispute_period              INTEGER NOT NULL,
    min_resolver_reputation     INTEGER NOT NULL,
    is_paused                   INTEGER NOT NULL CHECK (is_paused IN (0, 1)),
    bump                        INTEGER NOT NULL
) STRICT;
CREATE INDEX configs_in_order ON configs (slot, index_in_block);

-- A market account field by field, as the program's account has it (absent times are 0, absent options NULL), and
-- what the node adds. The text belongs to market_texts.
CREATE TABLE markets (
    id                        INTEGER PRIMARY KEY,
    market_id                 BLOB NOT NULL UNIQUE,
    address                   BLOB NOT NULL UNIQUE,
    known                     INTEGER NOT NULL DEFAULT 0 CHECK (known IN (0, 1)),  -- 0: only referred to so far
    creator                   INTEGER REFERENCES wallets (id),
    state                     INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 6),
    b_parameter               TEXT NOT NULL DEFAULT '00000000000000000000',
    initial_liquidity         TEXT NOT NULL DEFAULT '00000000000000000000',
    current_liquidity         TEXT NOT NULL DEFAULT '00000000000000000000',
    shares_yes                TEXT NOT NULL DEFAULT '00000000000000000000',
    shares_no                 TEXT NOT NULL DEFAULT '00000000000000000000',
    total_volume              TEXT NOT NULL DEFAULT '00000000000000000000',
    created_at                INTEGER NOT NULL DEFAULT 0,
    approved_at               INTEGER NOT NULL DEFAULT 0,
    activated_at              INTEGER NOT NULL DEFAULT 0,
    resolution_proposed_at    INTEGER NOT NULL DEFAULT 0,
    resolved_at               INTEGER NOT NULL DEFAULT 0,
    finalized_at              INTEGER NOT NULL DEFAULT 0,
    cancelled_at              INTEGER,
    resolver                  INTEGER REFERENCES wallets (id),
    proposed_outcome          INTEGER CHECK (proposed_outcome IN (0, 1)),
    final_outcome             INTEGER CHECK (final_outcome IN (0, 1)),
    question_hash             BLOB,     -- from create_market; the account loses it at resolution
    evidence_hash             BLOB,     -- the account's ipfs_evidence_hash: the question hash until resolution
    dispute_initiated_at      INTEGER NOT NULL DEFAULT 0,
    dispute_initiator         INTEGER REFERENCES wallets (id),
    accumulated_resolver_fees TEXT NOT NULL DEFAULT '00000000000000000000',
    accumulated_lp_fees       TEXT NOT NULL DEFAULT '00000000000000000000',
    proposal_likes            INTEGER NOT NULL DEFAULT 0,
    proposal_dislikes         INTEGER NOT NULL DEFAULT 0,
    dispute_agree             INTEGER NOT NULL DEFAULT 0,
    dispute_disagree          INTEGER NOT NULL DEFAULT 0,
    was_disputed              INTEGER NOT NULL DEFAULT 0 CHECK (was_disputed IN (0, 1)),
    -- what the node adds
    trades_count              INTEGER NOT NULL DEFAULT 0,
    slot                      INTEGER NOT NULL DEFAULT 0,   -- of the last applied event
    index_in_block            INTEGER NOT NULL DEFAULT 0,
    last_transaction          INTEGER,  -- no foreign key, for the same reason as in trades
    last_event_index          INTEGER NOT NULL DEFAULT -1,
    last_state_change_at      INTEGER NOT NULL DEFAULT 0,
    needs_resync              INTEGER NOT NULL DEFAULT 0 CHECK (needs_resync IN (0, 1)),  -- history known to be incomplete
    resync_tried_ms           INTEGER NOT NULL DEFAULT 0,   -- when a reading of the account last left it flagged
    incomplete_slot           INTEGER,  -- the newest slot with a transaction of this market that could not be read whole
    baseline                  BLOB,     -- the account as read from the chain: the fold starts from it
    baseline_slot             INTEGER,  -- events up to this slot are contained in the baseline
    baseline_final            INTEGER NOT NULL DEFAULT 0 CHECK (baseline_final IN (0, 1)),  -- read at finalized
    source                    TEXT NOT NULL DEFAULT 'event' CHECK (source IN ('event', 'reconciliation')),
    hidden                    INTEGER NOT NULL DEFAULT 0 CHECK (hidden IN (0, 1)),
    note                      TEXT,
    listed_category           TEXT NOT NULL DEFAULT 'other',        -- of the text, repeated for the lists' indexes
    listed_end_date           INTEGER NOT NULL DEFAULT 253402300800, -- unknown: behind all that can be written
    ready_for_approval        INTEGER NOT NULL DEFAULT 0 CHECK (ready_for_approval IN (0, 1)),
    reviewed_at               INTEGER,  -- when the end of a proposal without consensus was reported
    updated_ms                INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX markets_unreviewed ON markets (created_at) WHERE state = 0 AND known = 1 AND reviewed_at IS NULL;
CREATE INDEX markets_ready_for_approval ON markets (created_at) WHERE ready_for_approval = 1 AND state = 0;
-- The lists' orders, with what else lists are filtered by: pages are found and counted without touching the rows.
CREATE INDEX markets_newest ON markets (created_at, id, hidden, state, listed_category) WHERE known = 1;
CREATE INDEX markets_by_state ON markets (state, created_at, id, hidden, listed_category) WHERE known = 1;
CREATE INDEX markets_by_state_category ON markets (state, listed_category, created_at, id, hidden) WHERE known = 1;
CREATE INDEX markets_by_creator ON markets (creator, created_at, id, hidden, state, listed_category) WHERE known = 1;
CREATE INDEX markets_by_volume ON markets (total_volume, id, hidden, state, listed_category) WHERE known = 1;
CREATE INDEX markets_by_category ON markets (listed_category, created_at, id, hidden, state) WHERE known = 1;
CREATE INDEX markets_by_end_date ON markets (listed_end_date, id, hidden, state, listed_category) WHERE known = 1;
CREATE INDEX markets_unsettled_baselines ON markets (baseline_slot) WHERE baseline IS NOT NULL AND baseline_final = 0;
CREATE INDEX markets_by_evidence ON markets (evidence_hash) WHERE resolution_proposed_at > 0;
CREATE INDEX markets_by_baseline ON markets (baseline_slot) WHERE baseline_slot IS NOT NULL;
CREATE INDEX markets_needing_resync ON markets (resync_tried_ms) WHERE needs_resync = 1;
CREATE INDEX markets_resolving ON markets (resolution_proposed_at) WHERE state = 3;
CREATE INDEX markets_disputed ON markets (dispute_initiated_at) WHERE state = 4;
CREATE INDEX markets_unfinished ON markets (last_state_change_at, state, listed_end_date) WHERE known = 1 AND state < 5;

-- The text of a market, attached when a draft's hash and creator match the chain's.
CREATE TABLE market_texts (
    market         INTEGER PRIMARY KEY REFERENCES markets (id),
    question       TEXT NOT NULL,
    description    TEXT NOT NULL,
    category       TEXT NOT NULL,
    tags           TEXT NOT NULL,       -- JSON array of strings
    end_date       INTEGER NOT NULL,
    cid            TEXT NOT NULL,
    canonical_json TEXT NOT NULL,
    question_folded TEXT NOT NULL DEFAULT '',  -- for searching
    attached_ms    INTEGER NOT NULL
) STRICT;

-- Every run of three characters of a market's question, case folded: finds any part of it.
CREATE TABLE question_trigrams (
    trigram TEXT NOT NULL,
    market  INTEGER NOT NULL REFERENCES markets (id),
    PRIMARY KEY (trigram, market)
) STRICT;

CREATE TABLE trades (
    event_id       INTEGER PRIMARY KEY REFERENCES events (id),  -- whose place in the log is the trade's
    market         INTEGER NOT NULL,    -- market and wallet are its event's, which refers to their rows: to look for them
    wallet         INTEGER NOT NULL,    -- once more would make every trade a tenth dearer
    is_buy         INTEGER NOT NULL CHECK (is_buy IN (0, 1)),
    outcome        INTEGER NOT NULL CHECK (outcome IN (0, 1)),
    shares         TEXT NOT NULL,
    cost           TEXT NOT NULL,       -- buy: all that was charged; sell: what the seller received
    new_price_yes  TEXT NOT NULL,
    traded_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX trades_by_time ON trades (traded_at, market, wallet, cost);

CREATE TABLE positions (
    id             INTEGER PRIMARY KEY,
    market         INTEGER NOT NULL REFERENCES markets (id),
    wallet         INTEGER NOT NULL REFERENCES wallets (id),
    address        BLOB NOT NULL,
    shares_yes     TEXT NOT NULL,
    shares_no      TEXT NOT NULL,
    total_invested TEXT NOT NULL,       -- as on chain: fees included, only grows
    trades_count   INTEGER NOT NULL,
    last_trade_at  INTEGER NOT NULL,
    has_claimed    INTEGER NOT NULL CHECK (has_claimed IN (0, 1)),
    claimed_amount TEXT NOT NULL,
    basis_yes      TEXT NOT NULL,       -- cost of the shares still held, per side, until they are claimed
    basis_no       TEXT NOT NULL,
    cost_bought    TEXT NOT NULL,       -- of all buys
    realized_pnl   TEXT NOT NULL,       -- signed; of sales and claims. Finalisation realises the losing side's basis as a
                                        -- loss without a write: readers of a finalised, unclaimed position subtract it
    first_trade_at INTEGER NOT NULL,
    updated_ms     INTEGER NOT NULL,
    holding        TEXT NOT NULL DEFAULT '00000000000000000000',  -- YES and NO shares together, 20 digits
    UNIQUE (market, wallet)
) STRICT;
CREATE INDEX positions_by_wallet ON positions (wallet, market);
CREATE INDEX positions_by_holding ON positions (market, holding);

-- Position accounts as read from the chain together with their market's baseline: what the events up to that slot must
-- have come to, whatever of them is missing from the log.
CREATE TABLE position_baselines (
    market INTEGER NOT NULL REFERENCES markets (id),
    wallet INTEGER NOT NULL REFERENCES wallets (id),
    data   BLOB NOT NULL,
    slot   INTEGER NOT NULL,
    PRIMARY KEY (market, wallet)
) STRICT;

-- ---------------------------------------------------------------------------------------------------------------------
-- Votes

CREATE TABLE votes (
    id             INTEGER PRIMARY KEY,
    market         INTEGER NOT NULL REFERENCES markets (id),
    wallet         INTEGER NOT NULL REFERENCES wallets (id),
    kind           INTEGER NOT NULL CHECK (kind IN (0, 1)),   -- 0 proposal, 1 dispute
    vote           INTEGER NOT NULL CHECK (vote IN (0, 1)),
    weight         TEXT NOT NULL,       -- 1, or the position's yes + no shares; 0 counts for nothing
    source         TEXT NOT NULL CHECK (source IN ('api', 'chain')),
    event_id       INTEGER REFERENCES events (id),            -- of a vote cast on chain
    aggregated     INTEGER NOT NULL DEFAULT 0 CHECK (aggregated IN (0, 1)),
    voted_ms       INTEGER NOT NULL,    -- by the chain's clock, whichever way it came: a vote is part of a market's life
    received_ms    INTEGER,             -- by the node's clock; what is recorded on chain counts the votes until then
    replaced_vote  INTEGER CHECK (replaced_vote IN (0, 1)),   -- the API vote that a vote on chain stands in for, which
    replaced_ms    INTEGER,                                   -- comes back should the chain drop that one
    UNIQUE (market, wallet, kind),
    CHECK (source = 'chain' OR received_ms IS NOT NULL)
) STRICT;
CREATE INDEX votes_by_market ON votes (market, kind);
CREATE INDEX votes_by_wallet ON votes (wallet, id, kind);
CREATE INDEX votes_by_event ON votes (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX votes_unrecorded ON votes (kind, market) WHERE aggregated = 0;

-- The counts of a market's votes, kept with each vote, so that nothing ever counts them again.
CREATE TABLE tallies (
    market             INTEGER NOT NULL REFERENCES markets (id),
    kind               INTEGER NOT NULL CHECK (kind IN (0, 1)),
    likes              INTEGER NOT NULL DEFAULT 0,
    dislikes           INTEGER NOT NULL DEFAULT 0,
    agree_weight       TEXT NOT NULL DEFAULT '0',
    disagree_weight    TEXT NOT NULL DEFAULT '0',
    changed            INTEGER NOT NULL DEFAULT 0 CHECK (changed IN (0, 1)),  -- since the last aggregation looked
    last_aggregated_at INTEGER,
    recorded_yes       INTEGER,         -- the counts that last went on chain
    recorded_no        INTEGER,
    recorded_event     INTEGER,         -- which put them there; no foreign key, whose check would scan when a fork is dropped
    PRIMARY KEY (market, kind)
) STRICT;
CREATE INDEX tallies_changed ON tallies (kind, market) WHERE changed = 1;

-- ---------------------------------------------------------------------------------------------------------------------
-- People: sign-in, drafts, plans, discussions

CREATE TABLE nonces (
    nonce      TEXT PRIMARY KEY,
    wallet     BLOB,                    -- bound to this wallet, if given
    expires_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX nonces_by_expiry ON nonces (expires_ms);

CREATE TABLE revoked_tokens (
    jti        TEXT PRIMARY KEY,
    expires_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_ms);

CREATE TABLE tickets (
    ticket_hash        BLOB PRIMARY KEY,    -- a ticket is a credential
    wallet             BLOB NOT NULL,
    jti                TEXT NOT NULL,       -- of the session it came from: what it opens ends with that
    session_expires_ms INTEGER NOT NULL,
    expires_ms         INTEGER NOT NULL
) STRICT;
CREATE INDEX tickets_by_expiry ON tickets (expires_ms);

CREATE TABLE drafts (
    market_id      BLOB PRIMARY KEY,    -- the id the market will have
    wallet         BLOB NOT NULL,
    cid            TEXT NOT NULL,
    canonical_json TEXT NOT NULL,
    created_ms     INTEGER NOT NULL,
    expires_ms     INTEGER NOT NULL,
    UNIQUE (wallet, cid)
) STRICT;
CREATE INDEX drafts_by_expiry ON drafts (expires_ms);

-- Evidence texts by the hash that goes on chain.
CREATE TABLE evidence (
    cid        TEXT PRIMARY KEY,
    content    TEXT NOT NULL,
    pinned     INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    landed     INTEGER NOT NULL DEFAULT 0 CHECK (landed IN (0, 1)), -- a market refers to it: seen when it was old
    created_ms INTEGER NOT NULL         -- when it was given last
) STRICT;
CREATE INDEX evidence_by_time ON evidence (created_ms, cid) WHERE landed = 0;
CREATE INDEX evidence_unpinned ON evidence (created_ms, cid) WHERE pinned = 0;

-- An outcome the creator registered in advance; the monitor submits it at due_at.
CREATE TABLE resolution_plans (
    market        INTEGER PRIMARY KEY REFERENCES markets (id),
    outcome       INTEGER NOT NULL CHECK (outcome IN (0, 1)),
    evidence_hash BLOB NOT NULL,
    due_at        INTEGER NOT NULL,
    registered_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX resolution_plans_by_due ON resolution_plans (due_at);
CREATE INDEX resolution_plans_by_evidence ON resolution_plans (evidence_hash);

CREATE TABLE discussions (
    id         INTEGER PRIMARY KEY,
    market     INTEGER NOT NULL REFERENCES markets (id),
    wallet     INTEGER NOT NULL REFERENCES wallets (id),
    parent     INTEGER REFERENCES discussions (id),
    depth      INTEGER NOT NULL,
    content    TEXT NOT NULL,
    upvotes    INTEGER NOT NULL DEFAULT 0,
    downvotes  INTEGER NOT NULL DEFAULT 0,
    flag_count INTEGER NOT NULL DEFAULT 0,
    replies    INTEGER NOT NULL DEFAULT 0,  -- visible direct replies
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    deleted_ms INTEGER
) STRICT;
CREATE INDEX discussions_by_market ON discussions (market, parent);
CREATE INDEX discussions_shown ON discussions (market, parent) WHERE deleted_ms IS NULL OR replies > 0;
CREATE INDEX discussions_by_parent ON discussions (parent) WHERE deleted_ms IS NULL OR replies > 0;
CREATE INDEX discussions_by_wallet ON discussions (wallet, market, created_ms);

CREATE TABLE discussion_votes (
    discussion INTEGER NOT NULL REFERENCES discussions (id),
    wallet     INTEGER NOT NULL REFERENCES wallets (id),
    up         INTEGER NOT NULL CHECK (up IN (0, 1)),
    PRIMARY KEY (discussion, wallet)
) STRICT;

CREATE TABLE discussion_flags (
    discussion INTEGER NOT NULL REFERENCES discussions (id),
    wallet     INTEGER NOT NULL REFERENCES wallets (id),
    reason     TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (discussion, wallet)
) STRICT;

-- Transactions of wallets that the node relayed.
CREATE TABLE relayed_transactions (
    signature               BLOB PRIMARY KEY,
    last_valid_block_height INTEGER NOT NULL,
    created_ms              INTEGER NOT NULL
) STRICT;
CREATE INDEX relayed_transactions_by_time ON relayed_transactions (created_ms);

-- ---------------------------------------------------------------------------------------------------------------------
-- Push: every message in the order in which clients see it

CREATE TABLE feed (
    feed_offset   INTEGER PRIMARY KEY,  -- never given twice: the newest row always stays
    type          TEXT NOT NULL,
    market_id     BLOB,
    wallet        BLOB,                 -- the addressee of a position message
    listed        INTEGER NOT NULL CHECK (listed IN (0, 1)),         -- also goes to the channels of all markets
    state_changed INTEGER NOT NULL CHECK (state_changed IN (0, 1)),  -- a market_state that changes the state
    created_ms    INTEGER NOT NULL,
    data          TEXT NOT NULL         -- the envelope's data, JSON
) STRICT;

-- ---------------------------------------------------------------------------------------------------------------------
-- Actions and operations

-- One on-chain action of the node. Written with the signed bytes before they are sent; the same bytes are sent again until
-- they land or expire, and only then is the action signed anew.
CREATE TABLE intents (
    id                      INTEGER PRIMARY KEY,
    action                  TEXT NOT NULL,
    market                  INTEGER REFERENCES markets (id),
    subject                 TEXT NOT NULL,  -- market id in hex, or 'protocol': what makes the action unique with its round
    round                   INTEGER NOT NULL,
    args                    TEXT NOT NULL,  -- JSON
    status                  TEXT NOT NULL
        CHECK (status IN ('planned', 'sent', 'confirmed', 'failed', 'expired', 'abandoned')),
    signed_transaction      BLOB,
    signature               BLOB,
    last_valid_block_height INTEGER,
    attempts                INTEGER NOT NULL DEFAULT 0,
    error_name              TEXT,
    error_number            INTEGER,
    error_message           TEXT,
    reason                  TEXT,
    created_ms              INTEGER NOT NULL,
    sent_ms                 INTEGER,
    confirmed_ms            INTEGER,
    slot                    INTEGER,        -- in which it landed
    finalized_ms            INTEGER,        -- from then on no fork can drop it
    UNIQUE (action, subject, round)
) STRICT;
CREATE INDEX intents_unsettled ON intents (id) WHERE status IN ('planned', 'sent');
CREATE INDEX intents_unfinalized ON intents (id) WHERE status = 'confirmed' AND finalized_ms IS NULL;
CREATE INDEX intents_with_bytes ON intents (created_ms) WHERE signed_transaction IS NOT NULL;
CREATE INDEX intents_by_market ON intents (market, action, round);
CREATE INDEX intents_by_status ON intents (status, id, action);
CREATE INDEX intents_by_action ON intents (action, id, status);
CREATE INDEX intents_of_market ON intents (market, id, status, action);
CREATE INDEX intents_by_signature ON intents (signature);

CREATE TABLE jobs (
    name   TEXT PRIMARY KEY,
    paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1))
) STRICT;

CREATE TABLE job_runs (
    id          INTEGER PRIMARY KEY,
    job         TEXT NOT NULL,
    started_ms  INTEGER NOT NULL,
    finished_ms INTEGER,
    result      TEXT CHECK (result IN ('ok', 'failed', 'interrupted')),
    found       INTEGER NOT NULL DEFAULT 0,
    done        INTEGER NOT NULL DEFAULT 0,
    failed      INTEGER NOT NULL DEFAULT 0,
    skipped     INTEGER NOT NULL DEFAULT 0,
    error       TEXT
) STRICT;
CREATE INDEX job_runs_by_job ON job_runs (job);
CREATE INDEX job_runs_open ON job_runs (id) WHERE finished_ms IS NULL;

CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    token      INTEGER NOT NULL,        -- grows with every new holder: writes of an older one are refused
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE breakers (
    name       TEXT PRIMARY KEY,
    state      TEXT NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    failures   INTEGER NOT NULL,
    openings   INTEGER NOT NULL,        -- in a row, without a success between: doubles the time it stays open
    opened_ms  INTEGER,
    open_until_ms INTEGER,
    last_error TEXT
) STRICT;

CREATE TABLE alerts (
    id              INTEGER PRIMARY KEY,
    alert_type      TEXT NOT NULL,
    subject         TEXT NOT NULL,      -- market id in hex, or what else it is about; '' = the node
    severity        TEXT NOT NULL CHECK (severity IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')),
    message         TEXT NOT NULL,
    data            TEXT NOT NULL,      -- JSON
    status          TEXT NOT NULL CHECK (status IN ('open', 'acknowledged', 'resolved')),
    count           INTEGER NOT NULL DEFAULT 1,
    opened_ms       INTEGER NOT NULL,
    last_seen_ms    INTEGER NOT NULL,
    notified_ms     INTEGER,            -- 0: told of when it was less severe
    taken_back      INTEGER NOT NULL DEFAULT 0 CHECK (taken_back IN (0, 1)),  -- 1: the last thing people heard was its end
    reopened_ms     INTEGER,            -- it came back soon after its end, last at this time
    acknowledged_ms INTEGER,
    acknowledged_by BLOB,
    resolved_ms     INTEGER
) STRICT;
CREATE UNIQUE INDEX alerts_one_open ON alerts (alert_type, subject) WHERE status <> 'resolved';
CREATE INDEX alerts_by_end ON alerts (resolved_ms) WHERE resolved_ms IS NOT NULL;
CREATE INDEX alerts_by_status ON alerts (status, id, severity);
CREATE INDEX alerts_by_severity ON alerts (severity, id, status);
CREATE INDEX alerts_by_type ON alerts (alert_type, id, status, severity);
CREATE INDEX alerts_by_cause ON alerts (alert_type, subject);
CREATE INDEX alerts_by_subject ON alerts (subject, id, status, severity, alert_type);
CREATE INDEX alerts_to_take_back ON alerts (id) WHERE status = 'resolved' AND taken_back = 0 AND notified_ms IS NOT NULL;

CREATE TABLE discrepancies (
    id          INTEGER PRIMARY KEY,
    market      INTEGER REFERENCES markets (id),
    field       TEXT NOT NULL,
    stored      TEXT,
    on_chain    TEXT,
    slot        INTEGER NOT NULL,
    detected_ms INTEGER NOT NULL,
    resolved_ms INTEGER,
    resolution  TEXT
) STRICT;
CREATE INDEX discrepancies_by_market ON discrepancies (market, id, resolved_ms);
CREATE INDEX discrepancies_open ON discrepancies (id) WHERE resolved_ms IS NULL;
CREATE INDEX discrepancies_resolved ON discrepancies (id) WHERE resolved_ms IS NOT NULL;
CREATE INDEX discrepancies_by_end ON discrepancies (resolved_ms) WHERE resolved_ms IS NOT NULL;

CREATE TABLE snapshots (
    id                INTEGER PRIMARY KEY,
    market            INTEGER NOT NULL REFERENCES markets (id),
    snapshot_date     TEXT NOT NULL,
    cid               TEXT NOT NULL,
    pin_id            TEXT,             -- what the pinning service needs to delete it
    discussions_count INTEGER NOT NULL,
    pinned            INTEGER NOT NULL CHECK (pinned IN (0, 1)),
    created_ms        INTEGER NOT NULL,
    unpinned_ms       INTEGER,
    UNIQUE (market, snapshot_date)
) STRICT;
CREATE INDEX snapshots_unpinned ON snapshots (unpinned_ms) WHERE unpinned_ms IS NOT NULL;

CREATE TABLE backups (
    id         INTEGER PRIMARY KEY,
    file       TEXT NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    verified   INTEGER NOT NULL CHECK (verified IN (0, 1)),
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    id         INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    wallet     BLOB,
    action     TEXT NOT NULL,
    target     TEXT NOT NULL,
    reason     TEXT,
    params     TEXT NOT NULL,           -- JSON
    result     TEXT NOT NULL,
    request_id TEXT,
    address    TEXT
) STRICT;
CREATE INDEX audit_by_time ON audit (at_ms);
CREATE INDEX audit_by_wallet ON audit (wallet, at_ms);
CREATE INDEX audit_by_action ON audit (action, at_ms);
CREATE INDEX audit_by_both ON audit (wallet, action, at_ms);

-- ---------------------------------------------------------------------------------------------------------------------
-- Kept figures: what would otherwise be counted over all rows. Triggers keep them, so that no write can forget to; only
-- new events and trades, which come in bulk, are counted by whoever writes them (store/log/kept.py).
-- Sums of amounts are kept in two parts, high * 10^10 + low, each of which stays far below 2^63.
-- (Triggers are in the words of SQLite; the Postgres dialect brings functions that do the same.)

CREATE TABLE grand_totals (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    events      INTEGER NOT NULL,
    trades      INTEGER NOT NULL,
    volume_high INTEGER NOT NULL,       -- of all markets
    volume_low  INTEGER NOT NULL
) STRICT;
INSERT INTO grand_totals (id, events, trades, volume_high, volume_low) VALUES (1, 0, 0, 0, 0);

CREATE TABLE vote_totals (
    kind    INTEGER PRIMARY KEY,
    votes   INTEGER NOT NULL,
    pending INTEGER NOT NULL,           -- not recorded on chain yet,
    markets INTEGER NOT NULL            -- and in how many markets
) STRICT;
INSERT INTO vote_totals (kind, votes, pending, markets) VALUES (0, 0, 0, 0), (1, 0, 0, 0);

-- dead_letters (open ones), and by kind: markets:<state>, category:<of visible markets>, intents:<status>,
-- alerts:<status>:<severity>, cases:<type of an unresolved alert>, runs:<job>, failed_runs:<job>.
CREATE TABLE totals (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a market's trades come to, and its positions: all, and those that have not claimed what they might.
CREATE TABLE market_figures (
    market      INTEGER PRIMARY KEY,
    bought      INTEGER NOT NULL DEFAULT 0,
    bought_high INTEGER NOT NULL DEFAULT 0,
    bought_low  INTEGER NOT NULL DEFAULT 0,
    sold        INTEGER NOT NULL DEFAULT 0,
    sold_high   INTEGER NOT NULL DEFAULT 0,
    sold_low    INTEGER NOT NULL DEFAULT 0,
    positions   INTEGER NOT NULL DEFAULT 0,
    owed_yes    INTEGER NOT NULL DEFAULT 0,
    owed_no     INTEGER NOT NULL DEFAULT 0,
    owed_any    INTEGER NOT NULL DEFAULT 0,
    claimed_high INTEGER NOT NULL DEFAULT 0,
    claimed_low INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE wallet_figures (
    wallet    INTEGER PRIMARY KEY,
    trades    INTEGER NOT NULL DEFAULT 0,
    cost_high INTEGER NOT NULL DEFAULT 0,
    cost_low  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The trades of each minute and each hour of a market. A trade that goes takes nothing out of them: its market is then
-- folded again, which begins by dropping them all.
CREATE TABLE candles (
    market    INTEGER NOT NULL,
    width_s   INTEGER NOT NULL,         -- 60 or 3600
    start_s   INTEGER NOT NULL,
    trades    INTEGER NOT NULL,
    cost_high INTEGER NOT NULL,
    cost_low  INTEGER NOT NULL,
    highest   TEXT NOT NULL,
    lowest    TEXT NOT NULL,
    close     TEXT NOT NULL,            -- the price after the last trade
    PRIMARY KEY (market, width_s, start_s)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER events_out AFTER DELETE ON events BEGIN
    UPDATE grand_totals SET events = events - 1 WHERE id = 1;
END;
CREATE TRIGGER dead_letters_in AFTER INSERT ON dead_letters WHEN NEW.resolved_ms IS NULL BEGIN
    INSERT INTO totals (name, value) VALUES ('dead_letters', 1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER dead_letters_moved AFTER UPDATE OF resolved_ms ON dead_letters
    WHEN (OLD.resolved_ms IS NULL) <> (NEW.resolved_ms IS NULL) BEGIN
    INSERT INTO totals (name, value) VALUES ('dead_letters', CASE WHEN NEW.resolved_ms IS NULL THEN 1 ELSE -1 END)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER dead_letters_out AFTER DELETE ON dead_letters WHEN OLD.resolved_ms IS NULL BEGIN
    INSERT INTO totals (name, value) VALUES ('dead_letters', -1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER trades_out AFTER DELETE ON trades BEGIN
    UPDATE grand_totals SET trades = trades - 1 WHERE id = 1;
    INSERT INTO market_figures (market, bought, bought_high, bought_low, sold, sold_high, sold_low)
    VALUES (OLD.market, -OLD.is_buy, -OLD.is_buy * CAST(substr(OLD.cost, 1, 10) AS INTEGER),
        -OLD.is_buy * CAST(substr(OLD.cost, 11) AS INTEGER), -(1 - OLD.is_buy),
        -(1 - OLD.is_buy) * CAST(substr(OLD.cost, 1, 10) AS INTEGER),
        -(1 - OLD.is_buy) * CAST(substr(OLD.cost, 11) AS INTEGER))
    ON CONFLICT (market) DO UPDATE SET bought = bought + excluded.bought,
        bought_high = bought_high + excluded.bought_high, bought_low = bought_low + excluded.bought_low,
        sold = sold + excluded.sold, sold_high = sold_high + excluded.sold_high,
        sold_low = sold_low + excluded.sold_low;
    INSERT INTO wallet_figures (wallet, trades, cost_high, cost_low)
    VALUES (OLD.wallet, -1, -CAST(substr(OLD.cost, 1, 10) AS INTEGER), -CAST(substr(OLD.cost, 11) AS INTEGER))
    ON CONFLICT (wallet) DO UPDATE SET trades = trades + excluded.trades,
        cost_high = cost_high + excluded.cost_high, cost_low = cost_low + excluded.cost_low;
END;
CREATE TRIGGER positions_out AFTER DELETE ON positions BEGIN
    INSERT INTO market_figures (market, positions, owed_yes, owed_no, owed_any, claimed_high, claimed_low)
    VALUES (OLD.market, -1,
        -(OLD.has_claimed = 0 AND OLD.shares_yes > '00000000000000000000'),
        -(OLD.has_claimed = 0 AND OLD.shares_no > '00000000000000000000'),
        -(OLD.has_claimed = 0 AND OLD.total_invested > '00000000000000000000'),
        -CAST(substr(OLD.claimed_amount, 1, 10) AS INTEGER), -CAST(substr(OLD.claimed_amount, 11) AS INTEGER))
    ON CONFLICT (market) DO UPDATE SET positions = positions + excluded.positions,
        owed_yes = owed_yes + excluded.owed_yes, owed_no = owed_no + excluded.owed_no,
        owed_any = owed_any + excluded.owed_any, claimed_high = claimed_high + excluded.claimed_high,
        claimed_low = claimed_low + excluded.claimed_low;
END;
CREATE TRIGGER positions_moved AFTER UPDATE OF has_claimed, claimed_amount, shares_yes, shares_no, total_invested
    ON positions
    WHEN OLD.has_claimed <> NEW.has_claimed OR OLD.claimed_amount <> NEW.claimed_amount
        OR (OLD.shares_yes > '00000000000000000000') <> (NEW.shares_yes > '00000000000000000000')
        OR (OLD.shares_no > '00000000000000000000') <> (NEW.shares_no > '00000000000000000000')
        OR (OLD.total_invested > '00000000000000000000') <> (NEW.total_invested > '00000000000000000000')
BEGIN
    INSERT INTO market_figures (market, positions, owed_yes, owed_no, owed_any, claimed_high, claimed_low)
    VALUES (NEW.market, 0,
        (NEW.has_claimed = 0 AND NEW.shares_yes > '00000000000000000000')
            - (OLD.has_claimed = 0 AND OLD.shares_yes > '00000000000000000000'),
        (NEW.has_claimed = 0 AND NEW.shares_no > '00000000000000000000')
            - (OLD.has_claimed = 0 AND OLD.shares_no > '00000000000000000000'),
        (NEW.has_claimed = 0 AND NEW.total_invested > '00000000000000000000')
            - (OLD.has_claimed = 0 AND OLD.total_invested > '00000000000000000000'),
        CAST(substr(NEW.claimed_amount, 1, 10) AS INTEGER) - CAST(substr(OLD.claimed_amount, 1, 10) AS INTEGER),
        CAST(substr(NEW.claimed_amount, 11) AS INTEGER) - CAST(substr(OLD.claimed_amount, 11) AS INTEGER))
    ON CONFLICT (market) DO UPDATE SET positions = positions + excluded.positions,
        owed_yes = owed_yes + excluded.owed_yes, owed_no = owed_no + excluded.owed_no,
        owed_any = owed_any + excluded.owed_any, claimed_high = claimed_high + excluded.claimed_high,
        claimed_low = claimed_low + excluded.claimed_low;
END;
CREATE TRIGGER markets_in AFTER INSERT ON markets WHEN NEW.known = 1 BEGIN
    INSERT INTO totals (name, value) SELECT 'markets:' || NEW.state, 1 WHERE NEW.known = 1
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'category:' || NEW.listed_category, 1
    WHERE NEW.known = 1 AND NEW.hidden = 0 ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    UPDATE grand_totals SET
        volume_high = volume_high + CAST(substr(NEW.total_volume, 1, 10) AS INTEGER),
        volume_low = volume_low + CAST(substr(NEW.total_volume, 11) AS INTEGER) WHERE id = 1;
END;
CREATE TRIGGER markets_out AFTER DELETE ON markets WHEN OLD.known = 1 BEGIN
    INSERT INTO totals (name, value) SELECT 'markets:' || OLD.state, -1 WHERE OLD.known = 1
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'category:' || OLD.listed_category, -1
    WHERE OLD.known = 1 AND OLD.hidden = 0 ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    UPDATE grand_totals SET
        volume_high = volume_high - CAST(substr(OLD.total_volume, 1, 10) AS INTEGER),
        volume_low = volume_low - CAST(substr(OLD.total_volume, 11) AS INTEGER) WHERE id = 1;
END;
CREATE TRIGGER markets_moved AFTER UPDATE OF known, state, hidden, listed_category ON markets
    WHEN (OLD.known, OLD.state, OLD.hidden, OLD.listed_category)
        IS NOT (NEW.known, NEW.state, NEW.hidden, NEW.listed_category)
BEGIN
    INSERT INTO totals (name, value) SELECT 'markets:' || OLD.state, -1 WHERE OLD.known = 1
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'category:' || OLD.listed_category, -1
    WHERE OLD.known = 1 AND OLD.hidden = 0 ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'markets:' || NEW.state, 1 WHERE NEW.known = 1
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'category:' || NEW.listed_category, 1
    WHERE NEW.known = 1 AND NEW.hidden = 0 ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER markets_traded AFTER UPDATE OF known, total_volume ON markets
    WHEN OLD.known <> NEW.known OR OLD.total_volume <> NEW.total_volume
BEGIN
    UPDATE grand_totals SET
        volume_high = volume_high + NEW.known * CAST(substr(NEW.total_volume, 1, 10) AS INTEGER)
            - OLD.known * CAST(substr(OLD.total_volume, 1, 10) AS INTEGER),
        volume_low = volume_low + NEW.known * CAST(substr(NEW.total_volume, 11) AS INTEGER)
            - OLD.known * CAST(substr(OLD.total_volume, 11) AS INTEGER) WHERE id = 1;
END;
CREATE TRIGGER votes_out AFTER DELETE ON votes BEGIN
    UPDATE vote_totals SET votes = votes - 1, pending = pending - 1 + OLD.aggregated,
        markets = markets - (OLD.aggregated = 0 AND NOT EXISTS (SELECT 1 FROM votes
        WHERE kind = OLD.kind AND market = OLD.market AND aggregated = 0 AND id <> OLD.id))
    WHERE kind = OLD.kind;
END;
CREATE TRIGGER votes_recorded AFTER UPDATE OF aggregated ON votes WHEN OLD.aggregated <> NEW.aggregated BEGIN
    UPDATE vote_totals SET pending = pending + OLD.aggregated - NEW.aggregated,
        markets = markets + (OLD.aggregated - NEW.aggregated) * (NOT EXISTS (SELECT 1 FROM votes
        WHERE kind = NEW.kind AND market = NEW.market AND aggregated = 0 AND id <> NEW.id))
    WHERE kind = NEW.kind;
END;
CREATE TRIGGER intents_in AFTER INSERT ON intents BEGIN
    INSERT INTO totals (name, value) VALUES ('intents:' || NEW.status, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER intents_moved AFTER UPDATE OF status ON intents WHEN OLD.status <> NEW.status BEGIN
    INSERT INTO totals (name, value) VALUES ('intents:' || OLD.status, -1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) VALUES ('intents:' || NEW.status, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER alerts_in AFTER INSERT ON alerts BEGIN
    INSERT INTO totals (name, value) VALUES ('alerts:' || NEW.status || ':' || NEW.severity, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'cases:' || NEW.alert_type, 1
    WHERE NEW.status <> 'resolved'
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER alerts_moved AFTER UPDATE OF status, severity ON alerts
    WHEN OLD.status <> NEW.status OR OLD.severity <> NEW.severity BEGIN
    INSERT INTO totals (name, value) VALUES ('alerts:' || OLD.status || ':' || OLD.severity, -1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'cases:' || OLD.alert_type, -1
    WHERE OLD.status <> 'resolved'
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) VALUES ('alerts:' || NEW.status || ':' || NEW.severity, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'cases:' || NEW.alert_type, 1
    WHERE NEW.status <> 'resolved'
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER alerts_out AFTER DELETE ON alerts BEGIN
    INSERT INTO totals (name, value) VALUES ('alerts:' || OLD.status || ':' || OLD.severity, -1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'cases:' || OLD.alert_type, -1
    WHERE OLD.status <> 'resolved'
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER job_runs_in AFTER INSERT ON job_runs BEGIN
    INSERT INTO totals (name, value) VALUES ('runs:' || NEW.job, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'failed_runs:' || NEW.job, 1
    WHERE NEW.result = 'failed'
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER job_runs_out AFTER DELETE ON job_runs BEGIN
    INSERT INTO totals (name, value) VALUES ('runs:' || OLD.job, -1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    INSERT INTO totals (name, value) SELECT 'failed_runs:' || OLD.job, -1
    WHERE OLD.result = 'failed'
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
CREATE TRIGGER job_runs_ended AFTER UPDATE OF result ON job_runs WHEN OLD.result IS NOT NEW.result BEGIN
    INSERT INTO totals (name, value) VALUES ('failed_runs:' || NEW.job, (NEW.result IS 'failed') - (OLD.result IS 'failed'))
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
