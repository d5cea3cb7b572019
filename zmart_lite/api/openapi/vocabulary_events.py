"""What the fields of the program's events mean, in units: by name, the same in every event that has it."""

EVENT_FIELDS = """
admin                       The protocol's admin.
agreement_percentage        Of the recorded votes, whole percent that agree that the proposed outcome is wrong.
agrees                      Recorded votes that say so.
amount                      Lamports that were paid out.
approval_percentage         Of the recorded votes, whole percent in favour.
approved                    Whether the market is approved by these votes.
approved_by                 Who signed for it.
b_parameter                 The curve's depth, with 9 decimals.
backend_authority           The key that records votes and finalises.
cancelled_at                When, in unix seconds.
cancelled_by                Who did it.
cost                        Lamports charged, fees included.
creator                     The market's creator.
disagrees                   Recorded votes that say that it is right.
dislikes                    Recorded votes against.
dispute_period              How long an outcome may be disputed, in seconds.
dispute_succeeded           Whether the votes overturn the proposed outcome.
dispute_success_threshold   Basis points of votes that overturn an outcome.
disputed_outcome            The outcome that is disputed: true is YES.
evidence_hash               Hash of the evidence, a CIDv0.
final_outcome               true is YES, null is INVALID.
initial_liquidity           Lamports, nominal.
initiator                   Who disputes it.
is_paused                   Whether the protocol is paused from now on.
likes                       Recorded votes in favour.
liquidity_provider_fee_bps  Basis points of a trade for the liquidity.
market                      Address of the market's account.
market_id                   The market.
min_resolution_delay        Seconds from activation to the earliest resolution, which the program does not enforce.
new_price_yes               Price of YES afterwards; 10^9 is 1.
outcome                     true is YES.
paused_by                   Who did it.
proceeds                    Lamports paid out, fees deducted.
proposal_approval_threshold Basis points of votes that approve a proposal.
protocol_fee_bps            Basis points of a trade for the protocol.
resolver                    Who proposes the outcome.
resolver_reward_bps         Basis points of a trade for the resolver.
shares                      Shares, with 9 decimals.
state                       The market's state by number.
timestamp                   The chain's clock, in unix seconds.
user                        The wallet.
vote                        true: in favour, or that the proposed outcome is wrong.
was_disputed                Whether there was a dispute.
"""


def event_field_texts() -> dict[str, str]:
    """What each field means, by name."""
    return {name: text.strip() for name, _, text in (line.partition(" ") for line in EVENT_FIELDS.strip().splitlines())}
