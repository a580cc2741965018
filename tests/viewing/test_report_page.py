"""A report in a real browser, from disk."""

import pytest

from tests.report.making import make_results
from tests.report.test_command import report

pytestmark = pytest.mark.browser

STATE = """
return {pictures: [...document.images].map(i => [i.getAttribute('src'), i.complete && i.naturalWidth > 100,
i.getBoundingClientRect().right]), titles: [...document.querySelectorAll('h1, h2, h3')].map(h => h.textContent), width:
document.documentElement.scrollWidth, window: window.innerWidth, loaded: performance.getEntriesByType('resource').map(r =>
r.name)};
"""


def test_the_page_shows_its_pictures_and_asks_for_nothing_else(driver, tmp_path):
    (tmp_path / "results").mkdir()
    out = report(tmp_path / "out", make_results(tmp_path / "results"))
    driver.get_log("browser")
    driver.get((out / "index.html").as_uri())
    state = driver.execute_script(STATE)
    assert len(state["pictures"]) == len(list((out / "images").iterdir())) > 4
    assert all(drawn and right <= state["window"] for _, drawn, right in state["pictures"])
    assert state["width"] <= state["window"]  # wide tables scroll by themselves
    assert state["titles"][:2] == ["A <report>", "What was found"]
    assert all(name.startswith(out.as_uri()) for name in state["loaded"])
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
    (out / "images/learning.png").unlink()  # a picture that is not there would be seen
    driver.refresh()
    assert not all(drawn for _, drawn, _ in driver.execute_script(STATE)["pictures"])
