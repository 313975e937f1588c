"""What keeps somebody out of a page: found by axe, or a page that is wider than its screen."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def no_barrier(page: Page, where: str) -> None:
    """Nothing serious on the page as it is now; ``where`` names it when there is."""
    found = [each for each in Axe().run(page).response["violations"] if each["impact"] in ("serious", "critical")]
    assert not found, (where, [(each["id"], [node["target"] for node in each["nodes"]][:3]) for each in found])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{where} is wider than the screen"
