"""Keys that are missing or wrong are said at start, with the setting to change."""

from solders.keypair import Keypair

from zmart_lite.jobs import Keys
from zmart_lite.jobs.keys import check_keys
from zmart_lite.models import GlobalConfig

BACKEND, ADMIN, OTHER = Keypair(), Keypair(), Keypair()
CONFIG = GlobalConfig(
    bytes(ADMIN.pubkey()), bytes(BACKEND.pubkey()), bytes(32), 0, 0, 0, 7_000, 6_000, 0, 1, 0, False, bytes(64), 1
)


def test_right_keys_need_no_word() -> None:
    assert check_keys(Keys(BACKEND, ADMIN), CONFIG) == []
    assert check_keys(Keys(BACKEND, ADMIN), None) == []


def test_each_fault_has_its_sentence() -> None:
    missing = check_keys(Keys(None, None), CONFIG)
    assert [("chain.backend_keypair" in each, "chain.admin_keypair" in each) for each in missing] == [
        (True, False),
        (False, True),
    ]
    wrong = check_keys(Keys(OTHER, OTHER), CONFIG)
    assert str(BACKEND.pubkey()) in wrong[0]
    assert str(ADMIN.pubkey()) in wrong[1]
