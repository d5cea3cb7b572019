"""What every field of an answer is: its kind and unit, once for all routes that show it.

Names mean the same wherever they appear (contract 0.3), so the tables go by name. Where a name has several kinds, the
one that fits the example of the answer counts; ``Component.field`` stands for one component only. A kind ending in
``?`` may be null. Kinds: a word of KINDS, words to choose from (``a|b``), a component (``@Tally``), a list of one
(``[Tally]``), ``object`` and ``list`` for what the example shows, ``map`` for names that are not known beforehand.
"""

from zmart_lite.api.openapi.vocabulary_acts import ACTS

BASE58 = "[1-9A-HJ-NP-Za-km-z]"
AMOUNT = "^[0-9]{1,39}$"

KINDS: dict[str, dict[str, object]] = {
    "text": {"type": "string"},
    "market": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "address": {"type": "string", "pattern": f"^{BASE58}{{32,44}}$"},
    "signature": {"type": "string", "pattern": f"^{BASE58}{{64,88}}$"},
    "event": {"type": "string", "pattern": f"^{BASE58}{{64,88}}:[0-9]+$"},
    "cid": {"type": "string", "pattern": f"^Qm{BASE58}{{44}}$"},
    "lamports": {"type": "string", "pattern": AMOUNT, "description": "Lamports (10^9 = 1 SOL)."},
    "shares": {"type": "string", "pattern": AMOUNT, "description": "Shares with 9 decimals (10^9 = one share)."},
    "difference": {"type": "string", "pattern": "^-?[0-9]+$", "description": "Lamports; may be negative."},
    "exact": {"type": "string", "pattern": AMOUNT, "description": "An exact whole number as decimal digits."},
    "price": {"type": "string", "pattern": "^[01][.][0-9]{9}$", "description": "A price from 0 to 1, exact."},
    "sol": {"type": "number", "description": "SOL, rounded for display."},
    "whole": {"type": "number", "description": "Whole shares, rounded for display."},
    "ratio": {"type": "number", "minimum": 0, "maximum": 1, "description": "From 0 to 1."},
    "percent": {"type": "number", "minimum": 0, "maximum": 100, "description": "From 0 to 100."},
    "number": {"type": "number"},
    "count": {"type": "integer", "minimum": 0},
    "integer": {"type": "integer"},
    "bps": {"type": "integer", "minimum": 0, "maximum": 10_000, "description": "Basis points (10,000 = all)."},
    "seconds": {"type": "integer", "minimum": 0, "description": "Seconds."},
    "unix": {"type": "integer", "description": "Unix seconds."},
    "slot": {"type": "integer", "minimum": 0, "description": "A slot of the cluster."},
    "time": {"type": "string", "format": "date-time", "description": "ISO 8601, UTC."},
    "date": {"type": "string", "format": "date"},
    "bool": {"type": "boolean"},
    "any": {},
    "map": {"type": "object", "additionalProperties": True},
    "true": {"const": True},
}

_READS = """
success            true        The call did what it was asked for.
message            text        One sentence for people.
count              count       Rows in this answer; in the list of markets the number of all that match.
limit              count       Rows on a page, as applied.
offset             count       Rows left out before this page.
total_count        count       Rows that match, counted up to 10,000.
total_capped       true        There when counting stopped at 10,000.
has_more           bool        Whether there is a page after this one.
next_cursor        text?       Cursor of the next page.
timestamp          time        When this was true, or happened.
id                 text        Opaque id.
id                 integer     Number of the run.
market_id          market      Id of the market.
market_id          market?     Id of the market it is about; null for none.
EventRow.market_id market?     Id of the market; null for an event of the whole protocol.
AlertRow.market_id market?     Id of the market; null where it is about something else.
Discrepancy.market_id market?  Id of the market.
Relayed.market_id  market?     Id of the market it changed.
TransactionState.market_id market?  Id of the market it changed.
marketId           market      The same as market_id.
market_address     address     Address of the market's account.
on_chain_address   address     Address of the market's account.
wallet             address     The wallet.
Audit.wallet       address?    The administrator.
Audit.address      text        Network address of the caller.
user_wallet        address     The wallet that did it.
user               address     The same as user_wallet.
walletAddress      address     The same as wallet.
slot               slot        Slot in which it happened or was read.
slot               slot?       Slot in which it happened; null where that is not known.
TransactionState.slot slot?    Slot it landed in.
signature          signature   Signature of the transaction.
signature          signature?  Signature of the transaction; null where there is none.
tx_signature       signature   Signature of the transaction.
tx_signature       signature?  Signature of the transaction it comes from; null where there is none.
created_at         time        When it began to exist.
User.created_at    time?       When the node first met the wallet.
createdAt          time        The same as created_at.
updated_at         time        When the node last changed the row.
question           text        What the market asks.
category           text        Category of the market.
cid                cid         Content id of the text on IPFS (CIDv0).
outcome            bool?       The side: true is YES.
outcome            YES|NO      The side.
outcome_bool       bool        The side: true is YES.

status             healthy|degraded|unhealthy  Unhealthy without the database, degraded with any other error.
Service.status     ok|degraded|error|starting|disabled  How the service is doing.
service            text        Name of the service.
version            text        Version of the node.
uptime             number      Seconds since the start.
uptime_seconds     number      Seconds since the start.
environment        text        The cluster: mainnet, devnet, testnet or localnet.
services           object      Each service: ok, error (also where it works, but not quite well), starting or disabled.
unwell             [Unwell]    The services that are not as they should be, and why.
Unwell.status      degraded|error|starting  Degraded: it works, but not as it should; starting: not looked at yet.
Unwell.reason      text        Why, for people.
versions           @Versions   What runs here, and what it talks to.
Versions.node      text        The node.
Versions.program   text        The program whose instructions, accounts and events it knows.
Versions.solana_core text?     The software of the RPC node in use; null until it has answered.
Versions.sqlite    text        The SQLite library.
Versions.schema    count       The schema of the database.
Versions.python    text        Python.
database           ok|error|starting|disabled  The store.
solana_rpc         ok|error|starting|disabled  The way to the cluster.
event_indexer      ok|error|starting|disabled  Indexing of the program's events.
vote_aggregator    ok|error|starting|disabled  Recording of votes on chain.
market_monitor     ok|error|starting|disabled  Finalising of markets.
websocket          ok|error|starting|disabled  Push.
websocket          count       Open WebSockets.
ipfs               ok|error|starting|disabled  Snapshots of discussions.
redis              ok|error|starting|disabled  Not used: always disabled.
metrics            object      Figures of the last minute.
active_connections count       Open WebSockets and event streams.
requests_per_minute count      Requests of the last minute.
error_rate         ratio       Share of them answered with 5xx.
ready              bool        Whether everything below holds.
checks             object      What readiness depends on.
store              bool        The database can be written.
migrations         bool        The schema is up to date.
rpc                bool        The cluster answers.
global_config      bool        The protocol's config has been read.
caught_up          bool        The indexer is at most a minute behind.
cluster            text        The cluster the node works on.
database_id        text        What tells this database from every other: another one, another node.
genesis_hash       address?    Hash of the cluster's first block; null until it has answered.
program_id         address     Address of the program.
time               time        Time of the answer, or of what happened.
chain_time         time?       The chain's clock.
health             healthy|degraded|unhealthy  As in /health.
slot               object      Slots.
chain              slot        Newest slot of the cluster.
indexed            slot        Newest slot with an indexed transaction.
indexed            bool        Whether its events are in the database.
lag                count       Slots from the oldest known, unindexed transaction to the cluster; 0 if none.
feed               object      Offsets of the push feed.
head               count       Offset of the newest message.
oldest             count       Offset of the oldest message that is kept.
markets            object      Markets by state.
markets            count       Number of markets.
markets            list        The markets.
PROPOSED           count       Markets waiting for votes.
APPROVED           count       Markets waiting for activation.
ACTIVE             count       Markets that can be traded.
RESOLVING          count       Markets with a proposed outcome.
DISPUTED           count       Markets whose outcome is disputed.
FINALIZED          count       Markets that have ended.
CANCELLED          count       Markets that were cancelled.
totals             object      Numbers of everything there is.
trades             count       Number of trades.
trades             list        The trades.
votes              count       Number of votes.
votes              list        The votes.
events             count       Number of events.
events             list        The events.
users              count       Number of wallets.
votes_pending      object      Votes not yet recorded on chain.
proposal           count       Of proposal votes.
dispute            count       Of dispute votes.
jobs               list        The jobs.
name               text        Name.
paused             bool        Whether it is paused.
running            bool        Whether it is running now.
last_started_at    time?       Start of the last run.
last_finished_at   time?       End of the last run.
last_result        text?       How the last run ended.
last_error         text?       The last failure.
last_duration_ms   number?     Milliseconds the last run took.
next_run_at        time?       When it runs next.
progress           object?     How far the run that is going on came, if it tells.
phase              text        What it is at.
drill              object?     The last restore drill.
duration_s         number      Seconds it took to restore and prove it.
backup_age_s       number      How old the copy was, in seconds.
accounts           count       Accounts on chain that it was compared with.
moved_on           count       Markets that the chain had changed since the copy.
breakers           list        The circuit breakers.
failures           count       Failures so far; of a breaker: in a row.
opened_at          time?       When it opened.
open_until         time?       Until when calls are refused.
alerts             object      Open alerts.
alerts             list        The alerts.
open               count       How many are open.
open               number      Price of YES at the start, from 0 to 100.
open               bool        Whether votes are taken now.
by_severity        object      Open alerts by severity.
LOW                count       Of severity LOW.
MEDIUM             count       Of severity MEDIUM.
HIGH               count       Of severity HIGH.
CRITICAL           count       Of severity CRITICAL.
latest             list        The ten newest open ones.
alert_type         text        Type of the alert.
runbook            text        Path of the page that says what to do.
severity           LOW|MEDIUM|HIGH|CRITICAL  How bad it is.
push               object      Open connections.
sse                count       Open event streams.
subscriptions      count       Channels they listen to.
webhook            object      What Helius delivered.
last_received_at   time?       Last delivery.
received           count       Items received since the start.
received           bool        The delivery is durable.
pending            count       Not yet done.
dead_letters       count       What could not be indexed.
dead_letters       list        What could not be indexed.
intents            object      The node's own transactions.
intents            list        The node's own transactions.
failed             count       Failed.
keys               object      The node's keys.
backend_matches    bool        Whether the node's key is the config's backend authority.
admin_configured   bool        Whether the node has the admin key.

rpc_url            text?       JSON-RPC address of the embedded devnet; null on other clusters.
config_address     address     Address of the config's account.
admin              address     The protocol's admin.
backend_authority  address     The key that aggregates votes and finalises markets.
protocol_fee_wallet address    The wallet that gets the protocol's fees.
protocol_fee_bps   bps         The protocol's fee.
resolver_reward_bps bps        The resolver's fee.
liquidity_provider_fee_bps bps The liquidity provider's fee.
proposal_approval_threshold bps  Share of likes that approves a proposal.
dispute_success_threshold bps  Share of agreement that overturns an outcome.
min_resolution_delay seconds   As in the config; the program does not use it.
dispute_period     seconds     How long an outcome may be disputed.
is_paused          bool        Whether the protocol is paused.
proposal_min_votes count       Votes a proposal needs.
selling_available  bool?       Whether the deployed program pays sales out; null while no sale was simulated.
totalMarkets       count       Number of markets.
activeMarkets      count       Markets that can be traded.
totalVolume        sol         SOL traded.
volume24h          sol         SOL traded in 24 hours of chain time.
trades24h          count       Trades in 24 hours of chain time.
activeUsers24h     count       Wallets that traded in 24 hours of chain time.
proposalVoteSets   count       Markets with proposal votes not yet recorded on chain.
disputeVoteSets    count       Markets with dispute votes not yet recorded on chain.
totalPendingVotes  count       Votes not yet recorded on chain.

domain             text        Host the message is for.
uri                text        Address of the page.
statement          text        What the wallet shows.
chainId            text        The cluster.
nonce              text        To be used once, within five minutes.
issuedAt           time        Put it into the message as Issued At.
expirationTime     time        End of the nonce.
expires_in         seconds     Seconds until it expires.
SignInInput.message text       The finished text to sign; there when a wallet was given.
token              text        JSON web token for Authorization: Bearer.
token_type         Bearer      How it is sent.
role               user|admin  What the wallet may do.
expiresAt          time        The same as expires_at.
expires_at         time        When it expires.
auth               jwt|signature  How the caller proved who he is.
ticket             text        Opens one WebSocket or event stream, by ?ticket=.

MarketRow.id       market      The same as market_id.
MarketRow.slot     slot        Slot of the last change.
MarketRow.tx_signature signature?  Transaction of the last change.
MarketRow.source   event|reconciliation  Whether the last change came from an event or from reading the account.
title              text        The same as question; a name made of the id where the text is not known.
description        text        More about the question; empty if there is none.
tags               texts       Words to find it by.
end_date           time?       When trading is meant to end.
ends_at            time?       The same as end_date.
text_source        draft|none  Whether the text is known.
question_hash      text?       Hash of the text, as on chain.
ipfs_evidence_hash text?       Hash of the evidence, as on chain; null before a resolution.
creator_wallet     address     The wallet that created the market.
creator            address     The same as creator_wallet.
resolver_wallet    address?    Who proposed the outcome.
dispute_initiator  address?    Who disputed it.
state              PROPOSED|APPROVED|ACTIVE|RESOLVING|DISPUTED|FINALIZED|CANCELLED  State of the market.
MarketRow.status   PROPOSED|APPROVED|ACTIVE|RESOLVING|DISPUTED|FINALIZED|CANCELLED  The same as state.
state_code         count       The state as a number, 0 to 6.
is_cancelled       bool        Whether it was cancelled.
hidden             bool        Whether an administrator took it out of the lists.
note               text?       An administrator's note.
claims_enabled     bool        Whether winnings can be claimed.
tradable           bool        Whether it can be traded now.
ready_for_approval bool        Whether its votes suffice and the admin's signature is missing.
planned_resolution @PlannedResolution?  The resolution the creator registered; its outcome stays private.
due_at             time        When the node sends it.
registered_at      time        When it was registered.
b_parameter        shares      Liquidity parameter b of the LMSR.
initial_liquidity  lamports    Liquidity named at creation.
current_liquidity  lamports    What the market accounts for.
shares_yes         shares      YES shares.
shares_no          shares      NO shares.
total_volume       lamports    Volume.
evidence           text?       The text that the evidence's hash stands for, where the node has it.
dispute_reason     text?       What the dispute's initiator posted as its reason.
cancel_reason      text?       Why an administrator of this node cancelled it.
MarketRow.payout_if_yes lamports  What claiming pays for one YES share if YES wins, as the market stands.
MarketRow.payout_if_no lamports  What claiming pays for one NO share if NO wins, as the market stands.
payout_if_yes      lamports    What claiming pays if YES wins, as the market stands and with no other claims.
payout_if_no       lamports    What claiming pays if NO wins, as the market stands and with no other claims.
payable_now        lamports    What the market can pay in claims at all; a higher claim is refused.
accumulated_resolver_fees lamports  Fees kept for the resolver.
accumulated_lp_fees lamports   Fees kept for the liquidity provider.
current_price_yes  price       Price of YES.
current_price_no   price       Price of NO.
priceYes           ratio       Price of YES.
priceNo            ratio       Price of NO.
yesPrice           ratio       Price of YES.
totalShares        whole       Shares of both sides.
liquidityParameter whole       b in whole shares.
liquidity_parameter whole      The same as liquidityParameter.
bParameter         whole       b in whole shares.
total_yes_shares   whole       YES shares.
yes_shares         whole       YES shares.
total_no_shares    whole       NO shares.
no_shares          whole       NO shares.
volume_sol         sol         Volume.
proposed_outcome   bool?       The proposed outcome.
final_outcome      bool?       The final outcome; null also for one that is invalid.
MarketRow.outcome  bool?       The same as final_outcome.
proposed_outcome_name YES|NO?  The proposed outcome in words.
final_outcome_name YES|NO|INVALID?  The final outcome in words.
was_disputed       bool        Whether it was disputed.
proposal_likes     count       Likes recorded on chain.
proposal_dislikes  count       Dislikes recorded on chain.
proposal_total_votes count     Proposal votes recorded on chain.
dispute_agree      count       Votes for the dispute, recorded on chain.
dispute_disagree   count       Votes against the dispute, recorded on chain.
dispute_total_votes count      Dispute votes recorded on chain.
approved_at        time?       When it was approved.
activated_at       time?       When trading began.
activatedAt        time?       The same as activated_at.
resolution_proposed_at time?   When the outcome was proposed.
resolutionTime     time?       The same as resolution_proposed_at.
dispute_deadline   time?       Until when the outcome may be disputed.
dispute_initiated_at time?     When it was disputed.
dispute_settle_at  time?       When the vote on the dispute ends.
resolved_at        time?       When it was resolved.
finalized_at       time?       When it became final.
finalizedAt        time?       The same as finalized_at.
claims_available_at time?      The same as finalized_at.
cancelled_at       time?       When it was cancelled.
last_state_change  time        When the state last changed.

activities         list        What happened, newest first.
Activity.id        text        Id of the trade, resolution-<market> or creation-<market>.
type               trade|resolution|creation  What it is.
MarketVotes.type   proposal|dispute  The kind of vote.
Activity.user      text        The wallet, shortened.
action             text        What was done.
market             text        The market's question.
market             object      The market.
amount             text?       SOL with two decimals, of a trade.
TradeRow.id        event       <signature>:<event_index>.
trader             address     The same as user_wallet.
trade_type         buy|sell    Whether shares were bought or sold.
shares             shares      How many shares.
cost               lamports    Bought: all that was charged; sold: what was received.
payout             lamports?   What was received, of a sale.
shares_decimal     whole       How many shares.
cost_sol           sol         The same as cost.
price              number      SOL per share; 0 for no shares.
price_after        ratio       Price of YES after it.
price_after        object      Prices after it.
price_before       object      Prices before it.
new_price_yes      exact       Price of YES after it, with 10^9 = 1.
event_index        count       Place among the program's events of the transaction.
block_time         time        Time of the block.
EventRow.block_time time?      Time of the block.
Relayed.block_time time?       Time of the block.
TransactionState.block_time time?  Time of the block.
vote_id            text        The same as id.
vote_type          proposal|dispute  The kind of vote.
vote               bool        True: like, or the proposed outcome is wrong.
vote               object      The vote.
choice             like|dislike|agree|disagree  The vote in a word.
weight             exact       1 for a proposal; shares (9 decimals) for a dispute.
VoteRow.source     api|chain   Where it was cast.
aggregated         bool        Whether it has been recorded on chain.
voted_at           time        When it was cast.
stats              object      Figures.
likes              count       Votes that say true.
dislikes           count       Votes that say false.
total              count       All of them.
total              lamports    All fees together.
approval_rate      text        Percent of votes that say true, with two decimals.
total_trades       count       Number of trades.
unique_traders     count       Wallets that traded.
buy_volume         lamports    Volume of purchases.
sell_volume        lamports    Volume of sales.
positions          count       Number of positions.
positions          list        The positions.
unclaimed          count       Winning positions not yet claimed.
position_address   address     Address of the position's account.
userId             address     The same as user_wallet.
state              count       State of the market as a number, 0 to 6.
state_name         PROPOSED|APPROVED|ACTIVE|RESOLVING|DISPUTED|FINALIZED|CANCELLED  State of the market.
PositionRow.id     address     The same as position_address.
sharesYes          whole       YES shares.
sharesNo           whole       NO shares.
total_invested     lamports    As on chain: only grows.
totalCost          sol         The same as total_invested.
current_value      lamports    What the shares are worth now.
claimable          lamports    What can be claimed.
has_claimed        bool        Whether it was claimed.
claimed_amount     lamports    What was claimed.
unrealized_pnl     difference  Value still open less what it cost.
realized_pnl       difference  Profit that is settled.
profit_loss        difference  Both together.
unrealizedPnL      sol         Value still open less what it cost.
realizedPnL        sol         Profit that is settled.
totalPnL           sol         Both together.
roi                number      Percent of the cost of all purchases.
trades_count       count       Number of trades.
first_trade_at     time?       First trade.
last_trade_at      time?       Last trade.
last_updated       time        The same as updated_at.
snapshots          list        Snapshots, newest first.
snapshot_date      date        The day.
ipfs_hash          text        Content id on IPFS.
Snapshot.cid       text        The same as ipfs_hash.
discussions_count  count       Posts in it.
pinned             bool        Whether it is still pinned.
trending           list        The markets.
change24h          number      Percentage points in 24 hours of chain time.
uniqueTraders      count       Wallets that traded in 24 hours of chain time.
trendingScore      number      0.6 · volume24h + 0.4 · uniqueTraders.
categories         list        The five largest.
Category.count     count       Markets in it.
emoji              text        Its picture.
trend              text        Growth in a week, in percent with its sign.
related            list        The markets.
categoryMatch      bool        Whether it has the same category.
price_history      list        Points, oldest first.
t                  unix        The same as its time.
yes                percent     Price of YES.
no                 percent     Price of NO.
interval           text        What was asked for; custom with from or to.
fidelity           count?      Minutes per point.
candles            list?       Candles, with ohlc only.
start              time        Start of the candle.
high               percent     Highest price of YES.
low                percent     Lowest price of YES.
close              percent     Price of YES at the end.
volume             lamports    Volume.
"""

ANSWERED = _READS + ACTS

ASKED = """
wallet             A wallet.
state              State of the market, by name or number; all for any.
category           Category of the market; tech is technology.
creator            Wallet that created the market.
sort               Order: newest first, largest volume first, or end date rising with unknown ones last.
ready_for_approval Only those whose votes suffice and which wait for the admin's signature, or only the others.
limit              Rows in the answer; a higher number is lowered.
type               Only of this kind.
user               Only of this wallet.
from               Earliest time.
to                 First time that is too late.
order              Newest first, or oldest first.
question           What the market asks.
description        More about the question.
tags               Words to find it by.
b_parameter        Liquidity parameter b of the LMSR: shares with 9 decimals.
outcome            The side: true or yes, false or no.
market_id          The market.
slippage_bps       How much less than quoted is accepted, in basis points, where min_proceeds is not given.
side               Whether to buy or sell.
shares             Shares with 9 decimals.
encoding           How the transaction is written.
vote               The vote.
content            The post.
parent_id          The post it replies to.
reason             Why.
event_type         Only these events.
status             Only with this status.
severity           Only of this severity.
alert_type         Only of this type.
open               Only open ones, or only the others.
action             What is done.
since              Earliest time.
until              First time that is too late.
paused             Whether the protocol is to be paused.
protocol_fee_bps   The protocol's fee, in basis points.
resolver_reward_bps The resolver's fee, in basis points.
liquidity_provider_fee_bps The liquidity provider's fee, in basis points.
proposal_approval_threshold Share of likes that approves a proposal, in basis points.
dispute_success_threshold Share of agreement that overturns an outcome, in basis points.
min_resolution_delay Seconds, kept by the program and not used.
dispute_period     Seconds an outcome may be disputed.
"""
"""What request fields are, where their declaration does not say it."""
