"""The vocabulary of answers to acts, of administration, the feed and the embedded devnet; see :mod:`vocabulary`."""

ACTS = """
transaction        @Unsigned   To be signed and sent by the caller.
transaction        text        The transaction: base64, legacy format, 64 zero bytes per signature.
encoding           base64      How the transaction is written.
fee_payer          address     Who pays for it.
signers            texts       Who must sign.
instruction        text        The program's instruction in it.
accounts           list        The accounts the instruction uses.
address            address     Address.
signer             bool        Whether it signs.
writable           bool        Whether it is written.
blockhash          address     Blockhash of the transaction.
last_valid_block_height count  Last block height at which it can land.
last_valid_block_height count? Last block height at which it can land; null where that is not known.
compute_unit_limit count       Compute units.
compute_unit_price count       Micro-lamports per compute unit.
estimated_fee      lamports    Fee of the transaction.
simulation         object      How its simulation went.
ok                 bool        Whether it succeeded.
units              count?      Compute units it used.
logs               texts       Log lines.
warnings           texts       Words for what the caller should think of.
draft              object      The text that was kept.
canonical_json     text        The text whose hash goes on chain.
evidence_hash      cid         Hash of the evidence.
Claim.amount       lamports    What the claim pays.
Withdrawal.amount  lamports    What the withdrawal pays.
payable            bool        Whether the market's account holds enough.
attached           true        The text was attached to the market.
Planned.planned_resolution object?  The plan; null once withdrawn.
quote              object      What the program will do.
side               buy|sell    Whether to buy or sell.
avg_price          number      SOL per share.
priceImpact        ratio       How far the price moves.
fees               object      Fees, in lamports.
protocol           lamports    The protocol's part.
resolver           lamports    The resolver's part.
lp                 lamports    The liquidity provider's part.
executable         bool        Whether the program would do it now.
error              @QuoteError?  Why it would not.
error              text        What went wrong.
number             integer?    Number of the program's error.
total_cost         lamports    All that is charged.
BuyQuote.cost      lamports    Before fees.
BuyEstimate.cost   lamports    Before fees.
target_cost        lamports    The spending limit that goes into the transaction.
min_budget         lamports?   The least budget that works now.
gross              lamports    Before fees.
proceeds           lamports    Net of fees.
rules              list        Which links stand for which actions.
pathPattern        text        Paths of this node that people share.
apiPath            text        Where the action of such a path is.
type               action|transaction|inline|completed  What it is, by the specification of Solana Actions.
icon               text        Address of the market's picture.
label              text        The word on the button.
disabled           bool        Whether nothing can be done now.
links              any         What can be done, or what follows.
max_shares         shares      The most shares of this side that can be sold now.
refusal            text?       Why the program would refuse, in words, and what is possible; null where it would not.
min_proceeds       lamports    What the transaction insists on.
tradeType          buy|sell    The same as side.
estimatedCost      lamports    All that is charged, or received net.
pricePerShare      lamports    Lamports per whole share.
newPriceYes        ratio       Price of YES after it.
newPriceNo         ratio       Price of NO after it.
Relayed.status     confirmed|finalized  How far it has come.
Relayed.slot       slot        Slot it landed in.
Sent.status        sent        It was sent and has not been confirmed.
TransactionState.status sent|processed|confirmed|finalized|failed|expired  Where it stands.
err                any?        The cluster's error; null for none.
explorer           text?       Address of a page that shows it; null on the embedded devnet.
program_error      @ProgramError?  The program's error.
instruction_index  count?      Which instruction failed.
EventRow.id        event       <signature>:<event_index>.
transaction_signature signature  The same as tx_signature.
event_type         text        Name of the event.
event_data         @EventData  The event's own fields.
block_slot         slot        The same as slot.
EventRow.timestamp time        The event's own time.
index_in_block     count?      Place of the transaction in its block.
finality           confirmed|finalized  Whether it can still be retracted.
EventRow.source    webhook|poll|backfill|relay|logs  How the node learned of it.

vote_count         object      Votes of this kind on the market.
data               list        The same as vote, in a list.
data               map         What else is known.
metadata           object      The vote in short.
counts             object      Heads.
agrees             count       The same as likes.
disagrees          count       The same as dislikes.
agree_weight       exact       Weight of votes that say true.
disagree_weight    exact       Weight of votes that say false.
percentage_bps     bps         Share of true, rounded down; of heads for proposals, of weights for disputes.
threshold_bps      bps         What it has to reach.
min_votes          count       Votes it needs.
threshold_met      bool        Whether both are reached.
last_aggregated_at time?       When votes were last recorded on chain.
recorded           @Recorded?  The counts that stand on chain; null before the first.
recorded_at        time?       When they were recorded.
Recorded.yes       count       Counts for it, as the program got them: weights of disputes scaled to u32.
Recorded.no        count       Counts against it.
Progress.ends_at   time?       When the vote ends.
time_remaining_seconds seconds  Until then; 0 once closed.
next_aggregation_at time?      When votes are recorded next.
markets_created    count       Markets this wallet created.
markets_won        count       Final markets with a profit.
reputation_score   count       Not kept: always 0.
total_votes        count       Votes of both kinds.
proposal_votes     count       Proposal votes.
proposal_votes     list        Proposal votes.
proposal_votes     object      Proposal votes.
dispute_votes      count       Dispute votes.
dispute_votes      [VoteRow]   Dispute votes.
dispute_votes      object      Dispute votes.
discussions        count       Posts.
discussions        list        The posts.
totalTrades        count       Number of trades.
winRate            ratio       Won of resolved markets; 0 for none.
activePositions    count       Positions with shares that are not claimed.
resolvedMarkets    count       Final markets with a position.
wonMarkets         count       Those with a profit.
discussion_id      text        The same as id.
author             address     The same as user_wallet.
content            text        The post, as written; [deleted] for a deleted one.
text               text        The same as content.
parent_id          text?       The post it replies to.
parentId           text?       The same as parent_id.
depth              count       0 for a post, 1 for a reply, …
upvotes            count       Votes up.
downvotes          count       Votes down.
score              integer     Votes up less votes down.
flag_count         count       Wallets that flagged it.
is_flagged         bool        Whether enough wallets did.
isFlagged          bool        The same as is_flagged.
reply_count        count       Replies, shown or not.
replies            [DiscussionRow]  At most 50, oldest first.
deleted_at         time?       When it was deleted.
comments           list        The same as discussions.
discussion         object      The post.
comment            object      The same as discussion.
my_vote            up|down|none  The caller's vote.
subject            text?       What it is about.
AlertRow.status    open|acknowledged|resolved  Where it stands.
AlertRow.count     count       How often it was raised.
AlertRow.opened_at time        When it opened.
AlertRow.created_at time       The same as opened_at.
AlertRow.data      map         What else is known; for read-admin.
last_seen_at       time        When it was last raised.
acknowledged_at    time?       When it was acknowledged.
acknowledged_by    address?    By whom.
eventsProcessed    count       Items newly accepted.
duplicates         count       Items known already.

discrepancies      list        Where the database differs from the account on chain.
field              text        Which field.
stored             text?       What the database said.
on_chain           text?       What the account says.
detected_at        time        When it was found.
resolution         text?       How it ended.
round              count       Counts how often the action was signed anew.
args               map         Arguments of the instruction.
Intent.status      planned|sent|confirmed|failed|expired|abandoned  Where it stands.
Intent.error       @IntentError?  Why it failed.
attempts           count       How often it was tried.
sent_at            time?       When it was first sent.
confirmed_at       time?       When it was confirmed.
Intent.slot        slot?       The slot it landed in.
Intent.finality    confirmed|finalized?  Whether a fork can still drop it; null until it landed.
kind               text        What it is.
first_seen_at      time        When it was first met.
last_tried_at      time        When it was last tried.
payload            text?       What was received, at most 64 KiB.
audit              list        What administrators did, newest first.
at                 time        When.
target             text        What it was done to.
reason             text?       Why.
params             map         What was asked for, without credentials.
result             text?       How it ended: ok or the reason of the refusal.
request_id         text        X-Request-ID of the call.
backups            list        Copies, newest first.
file               text        Name of the file.
size_bytes         count       Its size.
verified           bool        Whether it was opened and checked.
schedule           text        When it runs.
holder             text?       The node that runs it.
runs               count       How often it ran.
runs               list        Its runs, newest first.
summary            map         What the last run did.
job                text        Name of the job.
job                object      The job.
started_at         time        Start.
finished_at        time?       End.
found              count       What there was to do.
done               count       What was done.
skipped            count       What was left out.
Run.error          text?       What went wrong.
run_id             count       Number of the run.
Breaker.state      closed|open|half_open  Whether calls pass.
BreakerState.state closed|open|half_open  Whether calls pass.
IntentError.name   text?       Name of the program's error.
IntentError.message text?      One sentence for people.
alert              object      The alert.
intent             object      The node's own transaction.
resolved           bool        Whether it could be indexed now.
changed            bool        Whether there was anything to do.

since              integer?    Unix milliseconds, as asked for.
next_after         count       The offset to ask from next.
reset              bool        Whether messages in between are no longer kept.
Latest.events      [Envelope]  Messages of the feed, oldest first.
Latest.timestamp   integer     Unix milliseconds of the answer.
Envelope.type      text        Type of the message.
Envelope.market_id market      The market it is about; left out where it is about none.
Envelope.timestamp time        When it was published.
Envelope.data      map         Its content, by type.
Envelope.offset    count       Its place in the feed.

pubsub_url         text        Address of the devnet's pubsub.
backend            address     The devnet's backend key.
wallets            texts       Wallets with SOL.
strict             bool        Whether sales abort as in the deployed program.
offset_seconds     integer     How far the devnet's clock is ahead of its start.
next_transition    object?     What time alone brings next.
Transition.market  address     Address of the market's account.
seconds_ahead      integer     Seconds until then.
lamports           lamports    Balance.
sol                sol         SOL.
"""
