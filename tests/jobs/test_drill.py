"""The restore drill: a good copy is proved, and each way in which one can be worth nothing is told."""

import dataclasses
import gzip
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from tests.jobs.devnet import World, devnet_world
from zmart_lite.config import Config
from zmart_lite.errors import BackupFailed
from zmart_lite.jobs.backup import BackupOptions, Backups
from zmart_lite.jobs.drill import LIMIT_S, Drill
from zmart_lite.models import Commitment, MarketAccount
from zmart_lite.store.engine import backup
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.state.drills import Drilled, find_drill
from zmart_lite.store.views.rows import RowSettings


class Clock:
    """Each look at it is so much later."""

    def __init__(self, step_s: float = 1.0) -> None:
        self.now_s, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def drill_of(world: World, folder: Path, step_s: float = 1.0) -> Drill:
    settings = RowSettings.of(Config(), world.codec)
    return Drill(
        world.store,
        world.codec,
        world.rpc,
        lambda: FeedContext(settings, world.now),
        backups=folder / "backups",
        scratch=folder / "drill",
        clock_s=Clock(step_s),
    )


async def back_up(world: World, folder: Path) -> None:
    await Backups(world.store, world.metrics, BackupOptions(folder / "backups", 3)).run({})


async def last(world: World) -> Drilled:
    found = await world.store.read(find_drill)
    assert found is not None
    return found


async def alert(world: World) -> str | None:
    rows = await world.store.read(
        lambda tx: tx.all("SELECT status FROM alerts WHERE alert_type = 'restore_drill_failure' ORDER BY id DESC")
    )
    return rows[0]["status"] if rows else None


def damage(folder: Path, statement: str) -> None:
    """Change what the newest copy holds, as a mistake of ours would have: the copy itself stays sound."""
    newest = backup.list_files(folder / "backups")[-1].file
    packed, plain = folder / "backups" / newest, folder / "plain.db"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    connection = sqlite.connect(str(plain))
    assert connection.execute(statement).rowcount == 1
    connection.commit()
    connection.close()
    packed.write_bytes(gzip.compress(plain.read_bytes(), 1))


async def test_a_good_copy_is_proved_and_what_the_chain_changed_since_is_no_fault(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        await world.indexer.read_config()
        market_id = await world.active_market(1)
        await world.buy(market_id, 1, outcome=True)
        await world.active_market(2)
        await back_up(world, tmp_path)
        summary = await drill_of(world, tmp_path).run({})
        assert (summary.found, summary.skipped) == (3, 0)
        await world.buy(market_id, 2, outcome=False)
        summary = await drill_of(world, tmp_path).run({})
        assert (summary.found, summary.skipped) == (3, 1)
        drilled = await last(world)
        assert (drilled.ok, drilled.duration_s, drilled.accounts, drilled.moved_on) == (True, 1.0, 3, 1)
        assert drilled.backup_age_s >= 0
        assert await alert(world) is None
        assert not (tmp_path / "drill").exists()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE positions SET shares_yes = '00000000000000000001'", "folds to something else"),
        ("DELETE FROM events WHERE event_type = 'SharesBought'", "folds to something else"),
    ],
)
async def test_a_copy_that_does_not_agree_with_itself_or_the_chain(tmp_path: Path, statement: str, reason: str) -> None:
    async with devnet_world(tmp_path) as world:
        await world.indexer.read_config()
        market_id = await world.active_market(1)
        await world.buy(market_id, 1, outcome=True)
        await back_up(world, tmp_path)
        damage(tmp_path, statement)
        with pytest.raises(BackupFailed, match=reason):
            await drill_of(world, tmp_path).run({})
        drilled = await last(world)
        assert (drilled.ok, await alert(world)) == (False, "open")
        assert reason in (drilled.error or "")
        assert not (tmp_path / "drill").exists()
        world.localnet.ledger.warp(1)
        await back_up(world, tmp_path)
        await drill_of(world, tmp_path).run({})
        assert await alert(world) == "resolved"


async def test_a_copy_that_differs_from_a_chain_which_has_not_moved(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        await world.indexer.read_config()
        market_id = await world.active_market(1)
        await back_up(world, tmp_path)
        address = world.codec.market_address(market_id)
        account = world.localnet.ledger.bank(Commitment.CONFIRMED).account(address)
        assert account is not None
        market = world.codec.decode_account(account.data)
        assert isinstance(market, MarketAccount)
        data = world.codec.encode_account(market._replace(shares_yes=7))
        world.localnet.ledger.set_account(address, dataclasses.replace(account, data=data))
        with pytest.raises(BackupFailed, match=r"1 markets of .* differ from the chain, which has not changed them"):
            await drill_of(world, tmp_path).run({})
        assert await alert(world) == "open"


async def test_a_torn_copy_and_none_at_all(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        with pytest.raises(BackupFailed, match="no good copy to restore yet"):
            await drill_of(world, tmp_path).run({})
        await back_up(world, tmp_path)
        newest = tmp_path / "backups" / backup.list_files(tmp_path / "backups")[-1].file
        newest.write_bytes(newest.read_bytes()[:-100])
        with pytest.raises(BackupFailed):
            await drill_of(world, tmp_path).run({})
        assert await alert(world) == "open"


async def test_one_that_takes_over_an_hour_is_an_alert_though_it_works(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        await back_up(world, tmp_path)
        await drill_of(world, tmp_path, step_s=LIMIT_S + 1).run({})
        assert ((await last(world)).ok, await alert(world)) == (True, "open")
