"""The demo as a test: one market from the draft to the payout, every figure checked, over HTTP, webhooks and push."""

import io

from rich.console import Console

from zmart_lite.cli import playing
from zmart_lite.cli.serving import run
from zmart_lite.config import Config


def test_a_market_lives_from_draft_to_payout_and_everything_agrees() -> None:
    shown = io.StringIO()
    code = run(lambda: playing.play_demo(Config(), Console(file=shown, width=200)))
    assert code == 0, shown.getvalue()
    assert "everything agrees" in shown.getvalue()
