"""What each view shows, that it changes by itself without jumping about, and that hostile texts stay texts."""

import pytest

from tests.cli.process import Process
from tests.page.browser import Browser
from tests.page.people import act, create
from zmart_lite.demo.client import Api, Wallet

pytestmark = pytest.mark.external

SCRIPTS = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    '"><svg onload=window.hacked=1>',
    "javascript:window.hacked=1",
    "{{constructor.constructor('window.hacked=1')()}}",
)


SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map(({value}) => value)))
  .observe({ type: 'layout-shift', buffered: false });
"""
FLOOD = """
const [market, votes, done] = arguments;
import('/static/page/wallet/burners.js')
  .then(({ voteOnce }) => Promise.all(Array.from({ length: votes }, () => voteOnce(market, 'dislike'))))
  .then(() => done('voted'), (error) => done(String(error)));
"""
ROWS_MAX, VOTES = 200, 220
"""What the live feed keeps in the page, and votes enough for more; those that come together share their progress."""


def test_the_node_view_shows_what_status_says(page: Browser, process: Process) -> None:
    page.open("node", fresh=True)
    page.until(lambda: "The node is healthy" in page.text(".health"))
    page.until(lambda: len(page.all("[data-service]")) == 7)
    status = process.get("/status")
    shown = page.text("main").lower()
    for name in [each["name"] for each in (*status["jobs"], *status["breakers"])]:
        assert name.replace("_", " ") in shown
    assert f"version {status['version']}" in shown
    of = status["versions"]
    versions = page.text('[aria-label="Versions"]')
    for told in (
        f"zmart-lite {of['node']}",
        f"solana-core {of['solana_core']}",
        f"SQLite {of['sqlite']}",
        of["python"],
    ):
        assert told in versions
    assert not page.one(".unwell").is_displayed()
    page.driver.execute_script(SHIFTS)
    for _ in range(2):
        before = page.text('[data-tile="slot"] .figure')
        page.until(lambda before=before: page.text('[data-tile="slot"] .figure') != before, "the slot to tick")
    assert sum(page.driver.execute_script("return window.shifts")) < 0.02
    page.until(lambda: page.text('[data-tile="rate"] .figure') != "–", "the request rate")
    assert page.all('[data-tile="lag"] .spark-line')
    sizes = process.get("/health/database")
    assert 1 << 18 < sizes["size_bytes"] < sizes["disk_bytes"]
    page.until(lambda: "iB" in page.text('[data-tile="database"] .figure'), "the size of the database")
    page.one('[data-service="database"] summary').click()
    page.until(lambda: "On disk, with its log" in page.text('[data-service="database"] dl'))


def test_a_fast_feed_keeps_the_page_small(page: Browser, process: Process) -> None:
    async def work(api: Api, wallet: Wallet) -> str:
        return await create(api, wallet, "Will this feed be a flood?")

    market_id = act(process, work)
    page.open("events", fresh=True)
    page.until(lambda: page.all(".feed-line"))
    assert page.run(FLOOD, market_id, VOTES) == "voted"
    page.until(lambda: f", 0 to {VOTES}" in page.text(".feed"), "the last vote")
    rows = _offsets(page)
    assert len(rows) == ROWS_MAX
    assert rows == sorted(set(rows), reverse=True)


def test_markets_appear_and_change_without_a_reload(page: Browser, process: Process) -> None:
    page.open("markets", fresh=True)

    async def work(api: Api, wallet: Wallet) -> str:
        return await create(api, wallet, "Does a new market appear by itself?")

    market_id = act(process, work)
    page.one(f'[data-market="{market_id}"]')
    page.type("q", "appear by itself")
    page.until(lambda: "q=appear" in page.driver.current_url)
    page.until(lambda: page.text(".view-head p") == "1 market")
    page.one('[name="state"]').send_keys("Finalized")
    page.until(lambda: "Nothing fits" in page.text("main"))


def test_whatever_people_write_stays_a_text(page: Browser, process: Process) -> None:
    question, description = f"{SCRIPTS[1]} safe?", "\n".join(SCRIPTS)

    async def work(api: Api, wallet: Wallet) -> str:
        market_id = await create(api, wallet, question, description)
        for text in SCRIPTS:
            await wallet.post(f"/api/discussions/{market_id}", {"content": text})
        return market_id

    page.open("events", fresh=True)
    market_id = act(process, work)
    page.until(lambda: all(text in page.text("main") for text in SCRIPTS), "the posts in the live feed")
    page.open(f"markets/{market_id}")
    page.until(lambda: all(text in page.text(".posts") for text in SCRIPTS), "the posts")
    assert page.text("h1") == question
    assert page.text(".described") == description
    page.open(f"playground/{market_id}")
    page.until(lambda: page.text("h2.question-title") == question)
    for view in ("markets", "events?tab=chain"):
        page.open(view)
        page.one("main table, main .market-row")
    assert page.all("main img, main script, main iframe") == []
    assert page.driver.execute_script("return window.hacked") is None


def test_the_feed_can_be_filtered_and_stopped(page: Browser, process: Process) -> None:
    async def work(api: Api, wallet: Wallet) -> str:
        market_id = await create(api, wallet, "Does the feed stand still when told?")
        await wallet.post("/api/votes/proposal", {"market_id": market_id, "vote": "like"})
        return market_id

    page.open("events", fresh=True)
    act(process, work)
    page.until(lambda: "votes: approve" in page.text("main"))
    page.press(".card-head button.slim")
    stopped = _offsets(page)
    assert stopped == sorted(stopped, reverse=True)
    act(process, work)
    page.until(lambda: "new)" in page.text(".card-head"))
    assert _offsets(page) == stopped
    page.press(".card-head button.slim")
    page.until(lambda: _offsets(page)[0] > stopped[0], "the feed to go on")
    kinds = "return [...new Set([...document.querySelectorAll('.feed-line .badge')].map((each) => each.textContent))]"
    assert "Vote" in page.driver.execute_script(kinds)
    page.driver.execute_script(
        "[...document.querySelectorAll('.chips button')].find(({textContent}) => textContent === 'Vote').click()"
    )
    assert "Vote" not in page.driver.execute_script(kinds)


def _offsets(page: Browser) -> list[int]:
    script = "return [...document.querySelectorAll('.feed-line')].map((row) => Number(row.dataset.offset))"
    return list(page.driver.execute_script(script))


def test_the_theme_is_kept(page: Browser) -> None:
    page.open("node", fresh=True)
    page.one("#theme").click()
    assert page.driver.execute_script("return document.documentElement.dataset.theme") == "dark"
    page.driver.refresh()
    assert page.driver.execute_script("return document.documentElement.dataset.theme") == "dark"


def test_swagger_ui_shows_every_group_without_breaking_the_policy(page: Browser) -> None:
    page.driver.get(f"{page.url}/docs")
    page.until(lambda: len(page.all(".opblock-tag")) > 5)
    page.one(".opblock-tag").click()
    page.one(".opblock-summary-control").click()
    page.one(".opblock-body")
