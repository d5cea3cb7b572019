"""Every reason for which the API says no: its status and what it means (contract 0.6). For the documentation; a test
compares it with the reasons that the code gives.
"""

from typing import NamedTuple


class Refusal(NamedTuple):
    """A reason as the documentation shows it."""

    status: int
    text: str


REFUSALS: dict[str, Refusal] = {
    "malformed_json": Refusal(400, "the body is not a JSON object"),
    "bad_cursor": Refusal(400, "the cursor belongs to another list or other filters"),
    "missing": Refusal(401, "no credential was sent"),
    "bad_signature": Refusal(401, "the signature, token or key is not good"),
    "bad_message": Refusal(401, "the signed message does not have the form that belongs here"),
    "bad_domain": Refusal(401, "the message is for another site"),
    "wrong_chain": Refusal(401, "the message is for another cluster"),
    "address_mismatch": Refusal(401, "another wallet signed"),
    "nonce_invalid": Refusal(401, "the nonce is unknown, used, expired or another wallet's"),
    "expired": Refusal(401, "the credential is too old"),
    "revoked": Refusal(401, "the session was ended"),
    "jwt_required": Refusal(401, "this needs a session, not a signed message"),
    "not_admin": Refusal(403, "only for administrators of the node"),
    "wallet_mismatch": Refusal(403, "the body names another wallet, or the channel is another's"),
    "not_creator": Refusal(403, "only for the market's creator"),
    "not_author": Refusal(403, "only for the author"),
    "no_position": Refusal(403, "the wallet has no position in the market"),
    "not_chain_admin": Refusal(403, "only for the protocol's admin on chain"),
    "wrong_state": Refusal(409, "the market, or what else is acted on, is in another state"),
    "wrong_time": Refusal(409, "it is too early or too late for this"),
    "already_voted": Refusal(409, "the wallet has voted; votes cannot be changed"),
    "slippage_exceeded": Refusal(409, "the price has moved further than allowed"),
    "insufficient_shares": Refusal(409, "the wallet holds fewer shares"),
    "protocol_paused": Refusal(409, "the protocol is paused"),
    "selling_unavailable": Refusal(409, "the deployed program cannot pay sales out"),
    "program_error": Refusal(409, "the program would refuse the transaction"),
    "simulation_failed": Refusal(409, "the simulation of the transaction failed"),
    "transaction_failed": Refusal(409, "the transaction landed and failed"),
    "blockhash_expired": Refusal(409, "the transaction is too old: ask for a new one"),
    "already_running": Refusal(409, "the job is running"),
    "in_flight": Refusal(409, "an earlier transaction may still land"),
    "chain_decides": Refusal(409, "only the chain changes this"),
    "text_mismatch": Refusal(409, "this is not the text whose hash stands on chain"),
    "rpc_unavailable": Refusal(503, "the cluster does not answer"),
    "breaker_open": Refusal(503, "calls to the cluster are held back after failures"),
    "store_unavailable": Refusal(503, "the database cannot be used"),
    "shutting_down": Refusal(503, "the node is stopping"),
    "not_configured": Refusal(503, "the node, or the protocol, is not set up for this"),
    "connections_max": Refusal(503, "the node has as many connections as it can hold"),
}

READS_CHAIN = ("rpc_unavailable", "breaker_open", "not_configured")
"""Of routes that ask the cluster."""
BUILDS = ("program_error", *READS_CHAIN)
"""Of routes that build a transaction."""
