"""What the node should know in the end: the accounts and logs of the chain, compared with the database."""

from collections import Counter

from zmart_lite.chain.events import parse_logs
from zmart_lite.codec import event_name
from zmart_lite.demo.accounts import differences
from zmart_lite.simulation import kept_figures
from zmart_lite.simulation.chain import SimulatedChain
from zmart_lite.store.engine.db import Store, Tx


async def compare(chain: SimulatedChain, store: Store) -> list[str]:
    """Everything in which the database differs from the chain."""
    compared, found = await differences(store, chain.codec, chain.localnet.rpc_url)
    if not compared:
        return ["nothing could be compared"]
    return [*found, *await compare_logs(chain, store), *await store.read(kept_figures.differences)]


async def compare_logs(chain: SimulatedChain, store: Store) -> list[str]:
    """The event log against the logs of the chain's own transactions, each event exactly once, in the chain's order."""
    expected = _logged(chain)
    stored = await store.read(_stored)
    found = [f"event {_text(key)} is in the log {count} times" for key, count in Counter(stored).items() if count > 1]
    found += [f"event {_text(key)} is missing" for key in expected if key not in set(stored)]
    found += [f"event {_text(key)} is not on chain" for key in stored if key not in set(expected)]
    if not found and stored != expected:
        found.append("the events are not in the chain's order")
    unfinished = await store.read(lambda tx: tx.value("SELECT count(*) FROM transactions WHERE finality = 1"))
    if unfinished:
        found.append(f"{unfinished} transactions are not finalized")
    return found


Key = tuple[int, bytes, int, str, bytes]


def _text(key: Key) -> str:
    return f"{key[3]} {key[2]} of {key[1].hex()[:16]}… in slot {key[0]}"


def _logged(chain: SimulatedChain) -> list[Key]:
    return [
        (landed.slot, landed.signature, each.event_index, event_name(each.event), each.data)
        for landed in chain.history()
        if not landed.failed
        for each in parse_logs(chain.codec, landed.meta.logs).events
        if each.event is not None
    ]


def _stored(tx: Tx) -> list[Key]:
    rows = tx.all(
        "SELECT t.slot, t.signature, e.event_index, e.event_type, e.data FROM events e"
        " JOIN transactions t ON t.id = e.transaction_id"
        " ORDER BY e.slot, e.index_in_block, e.transaction_id, e.event_index"
    )
    return [(row["slot"], row["signature"], row["event_index"], row["event_type"], row["data"]) for row in rows]
