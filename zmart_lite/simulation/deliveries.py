"""How webhooks of a simulation reach the node, or do not: what becomes of each block is decided by the seed."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_lite.localnet.helius_payloads import enhanced_item, raw_item
from zmart_lite.localnet.records import LandedTransaction
from zmart_lite.models import SharesBought
from zmart_lite.simulation.chain import SimulatedChain

SECRET = "the secret of the webhooks of a simulation"
WRONG = "the secret of somebody else's webhooks"

FATES = {"drop": 16, "repeat": 8, "delay": 10, "reorder": 10, "enhanced": 8, "deliver": 48}
GARBAGE = (b'[{"signature":"abc"}]', b"[", b'[{"transaction":{}}]', b"17", b"\xff\x00")
FORGERIES = ("wrong_secret", "invented", "future_slot", "altered", "told_failed", "garbage", "borrowed_logs")


class Post(NamedTuple):
    body: bytes
    secret: str


class Deliveries:
    """What is to be posted, in order. ``counts`` says how often each kind of fault happened."""

    def __init__(self, chain: SimulatedChain, random: Random, fates: Mapping[str, int] = FATES) -> None:
        self._chain, self._random, self._fates = chain, random, fates
        self._delayed: list[Post] = []
        self._queue: list[Post] = []
        self.counts: Counter[str] = Counter()
        self.lies: list[str] = []
        """Forgeries that wait for a true delivery to come in its place."""

    def take(self) -> list[Post]:
        """The posts that go out now."""
        for block in self._chain.blocks:
            wanted = [landed for landed in block.transactions if self._is_ours(landed)]
            if wanted:
                self._decide(wanted)
        self._chain.blocks.clear()
        if self._delayed and self._random.random() < 0.3:
            self._random.shuffle(self._delayed)
            self._queue += self._delayed
            self._delayed = []
        posts, self._queue = self._queue, []
        return posts

    def lose(self) -> None:
        """What happened since the last posts is never told."""
        self._chain.blocks.clear()

    def _is_ours(self, landed: LandedTransaction) -> bool:
        return self._chain.codec.program_id in landed.account_keys

    def _decide(self, wanted: list[LandedTransaction]) -> None:
        if self.lies and not wanted[0].failed and self._has_event(wanted[0]):
            # The lie comes in the place of the truth.
            kind = self.lies.pop(0)
            self.counts[kind] += 1
            self._queue.append(self._lie(wanted[0], kind))
            return
        fate = self._random.choices(list(self._fates), list(self._fates.values()))[0]
        items = [enhanced_item(landed) if fate == "enhanced" else raw_item(landed) for landed in wanted]
        post = Post(json.dumps(items).encode(), SECRET)
        if fate != "deliver":
            self.counts[fate] += 1
        if fate == "delay":
            self._delayed.append(post)
        elif fate == "reorder":
            self._queue.insert(self._random.randint(0, len(self._queue)), post)
        elif fate != "drop":
            self._queue += [post, post] if fate == "repeat" else [post]

    def _has_event(self, landed: LandedTransaction) -> bool:
        return any(line.startswith("Program data: ") for line in landed.meta.logs)

    def _lie(self, landed: LandedTransaction, kind: str) -> Post:
        item = raw_item(landed)
        if kind == "told_failed":
            item["meta"]["err"] = {"InstructionError": [0, {"Custom": 6007}]}
        else:
            item["meta"]["logMessages"] = [*item["meta"]["logMessages"], *self._invented_logs()]
        return Post(json.dumps([item]).encode(), SECRET)

    # Forged from nothing

    def forge(self, kind: str) -> None:
        """Let a forged delivery come, at once or in the place of the next true one."""
        if kind in ("altered", "told_failed"):
            self.lies.append(kind)
            return
        self.counts[kind] += 1
        if kind == "garbage":
            self._queue.append(Post(GARBAGE[self.counts[kind] % len(GARBAGE)], SECRET))
            return
        item = self._invented_item()
        if kind == "future_slot":
            item["slot"] = 2**62
        if kind == "borrowed_logs" and (history := self._chain.history()):
            item["transaction"]["signatures"] = [str(Signature(self._random.choice(history).signature))]
        secret = WRONG if kind == "wrong_secret" else SECRET
        self._queue.append(Post(json.dumps([item]).encode(), secret))

    def _invented_item(self) -> dict[str, Any]:
        """A purchase that never was, in a slot that may well hold one."""
        slot = max(1, self._chain.ledger.open_slot - self._random.randint(0, 20))
        keys = [str(Pubkey(self._random.randbytes(32))), str(Pubkey(self._chain.codec.program_id))]
        instruction = {"accounts": [0], "data": "1", "programIdIndex": 1}
        return {
            "blockTime": self._chain.ledger.clock.now_s(),
            "slot": slot,
            "meta": {"err": None, "innerInstructions": [], "logMessages": self._invented_logs()},
            "transaction": {
                "message": {"accountKeys": keys, "instructions": [instruction]},
                "signatures": [str(Signature(self._random.randbytes(64)))],
            },
        }

    def _invented_logs(self) -> list[str]:
        chain, random = self._chain, self._random
        market_id = random.choice([*chain.market_ids, random.randbytes(32)])
        user = bytes(random.choice(chain.localnet.wallets).pubkey())
        event = SharesBought(market_id, user, True, 10**12, 10**10, 900_000_000, chain.ledger.clock.now_s())
        data = b64encode(chain.codec.encode_event(event)).decode()
        program = str(Pubkey(chain.codec.program_id))
        return [f"Program {program} invoke [1]", f"Program data: {data}", f"Program {program} success"]
