"""A headless Chromium for the tests of the page, and what a test does with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

WAIT_S = 40
POLL_S = 0.05
WIDE, PHONE = (1280, 900), (390, 844)
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
SERIOUS = ("serious", "critical")
CLEAN = ("heading-order", "landmark-unique", "target-size")
"""Rules of axe-core that nothing breaks, however little it weighs; it leaves the last one out unless asked."""
AXE_RUN = """
const [done] = arguments;
axe.run({ resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } })
  .then(({ violations }) => done(violations));
"""
# Every refused fetch is written to the console by the browser itself; the page shows those to people.
NETWORK = "Failed to load resource"


class Browser:
    """One tab, or several."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, view: str, *, fresh: bool = False) -> None:
        """Show a view (``markets``); ``fresh`` forgets wallets and theme first, and loads the page anew."""
        if fresh:
            self.driver.get(self.url)
            self.driver.execute_script("localStorage.clear(); sessionStorage.clear()")
            self.driver.get("about:blank")
        self.driver.get(f"{self.url}/#/{view}")
        self.until(lambda: self.state == "open")

    @property
    def state(self) -> str | None:
        """The connection of the live feed, as the light in the corner shows it."""
        found = self.all("#connection")
        return found[0].get_attribute("data-state") if found else None

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        """The first such element, waited for."""
        self.until(lambda: self.all(css), css)
        return self.all(css)[0]

    def text(self, css: str = "main") -> str:
        return str(self.driver.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", css))

    def until(self, look: Callable[[], Any], what: str = "") -> Any:
        wait = WebDriverWait(self.driver, WAIT_S, POLL_S)
        return wait.until(lambda _: look(), f"{what or 'it did not happen'}; the page says: {self.text('#toasts')}")

    def click(self, action: str) -> None:
        """Press the button ``data-do=action`` once it can be, and wait until what it does is done."""
        css = f'[data-do="{action}"]:not(:disabled)'
        button = self.one(css)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", button)
        self.until(lambda: not self.all('[aria-busy="true"]'), f"{action} to end")

    def choose(self, value: str, group: str) -> None:
        """Press one of a row of buttons."""
        button = self.one(f'.choice[aria-label="{group}"] [data-value="{value}"]')
        self.driver.execute_script("arguments[0].click()", button)

    def type(self, name: str, text: str) -> None:
        self.one(f'[name="{name}"]').send_keys(text)

    def until_state(self, state: str) -> None:
        """Wait until the lifecycle that is drawn has come to this state."""
        self.one(f".life .state-{state.lower()}")

    def look_as(self, *, dark: bool = False, size: tuple[int, int] = WIDE) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def complaints(self, *, network: bool = True) -> list[str]:
        """What the console has been told since the last question: errors, violated policies."""
        found = [
            entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
        ]
        return [message for message in found if network or NETWORK not in message]

    def press(self, css: str) -> None:
        """Click an element wherever it is, as ``click`` does without waiting for an end."""
        self.driver.execute_script(
            "arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", self.one(css)
        )

    def agree(self, css: str, reason: str) -> None:
        """Press a button that asks for a reason, and give one."""
        self.press(css)
        self.type("answer", reason)
        self.press('dialog [value="yes"]')
        self.until(lambda: not self.all("dialog"))

    def toast(self, text: str) -> None:
        """Wait for this message, and take it away: the next one is another."""
        self.until(lambda: text in self.text("#toasts"), text)
        self.driver.execute_script("document.querySelector('#toasts').replaceChildren()")

    def barriers(self, axe: str) -> list[str]:
        """What axe-core finds serious in the view that is open. ``axe``: its source."""
        if not self.driver.execute_script("return typeof window.axe === 'object'"):
            self.driver.execute_script(axe)
        found = self.run(AXE_RUN)
        return [
            f"{each['id']}: {node['html']}"
            for each in found
            if each["impact"] in SERIOUS or each["id"] in CLEAN
            for node in each["nodes"]
        ]

    def run(self, script: str, *arguments: Any) -> Any:
        """Run an asynchronous script that calls its last argument."""
        return self.driver.execute_async_script(script, *arguments)


@contextmanager
def browser(chromium: str, chromedriver: str, folder: Path, url: str) -> Iterator[Browser]:
    """A Chromium with an empty profile in ``folder``."""
    options = Options()
    options.binary_location = chromium
    for switch in (*SWITCHES, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(chromedriver))
    driver.set_script_timeout(WAIT_S)
    try:
        yield Browser(driver, url)
    finally:
        driver.quit()
