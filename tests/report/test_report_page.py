"""report.html in a real browser, if one is installed (Debian: chromium, chromium-driver)."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from measuring import read_table, ring, rings, save

import morphometry
from myelin.images.image import write_image

selenium = pytest.importorskip("selenium")
from selenium.webdriver import ActionChains, Chrome, ChromeOptions  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

BROWSERS = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
BROWSER, DRIVER = next(filter(None, BROWSERS), None), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="no browser that can be driven"),
]
CALL = ["--pixel-size", "0.1", "--groups", "groups.csv"]
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">"
CENTERS = [(50, 60), (140, 60), (230, 60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two images of three fibers and one at the border; the third has a thick sheath.

    The right part of the first is a black margin. Names are hostile: one of an image is a formula,
    one of a group is HTML.
    """
    path = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for name, thick in (("one", 9), ("＝twö", 16)):
            mask = rings((120, 340), CENTERS, 20, 32)
            mask |= ring(mask.shape, *CENTERS[2], thick, 32)[0]
            mask |= ring(mask.shape, 20, 110, 8, 14)[0]
            save(Path(f"preds/{name}_mask.tif"), mask)
        grey = np.random.default_rng(0).integers(90, 150, mask.shape).astype(np.uint8)
        grey[:, 280:] = 0
        Path("raw/test").mkdir(parents=True)
        write_image(Path("raw/test/one.tif"), grey)
        Path("groups.csv").write_text(
            f'image,group,animal\none,"{HOSTILE.replace(chr(34), chr(34) * 2)}",A\n＝twö,b,B\n',
            encoding="utf-8",
        )
        morphometry.main(CALL)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1400,1000"):
        options.add_argument(f"--{argument}")
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    found = Chrome(options=options, service=Service(DRIVER))
    found.downloads = downloads
    yield found
    found.quit()


class Page:
    """The page as a person uses it."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get(path.as_uri())
        self.wait(lambda: self.value("return page.viewer.index") == 0)

    def value(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def wait(self, condition):
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "nothing happened"
            time.sleep(0.02)

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.find(selector).text

    def press(self, *keys):
        for key in keys:
            self.find("#viewer").send_keys(key)
            # A key may change the image, which takes until it is decoded.
            self.value("return new Promise((done) => setTimeout(done, 60))")

    def over(self, fiber):
        """Return the moves of the pointer onto the sheath of a fiber of the image shown."""
        x, y, ratio = self.value(
            "page.viewer.fit(); const v = page.viewer, [x, y] = v.placeOf(arguments[0]);"
            "const r = v.canvas.width / v.box.clientWidth, off = 26 * v.scene.scale * v.view.zoom;"
            "return [x + off, y, r]",
            fiber,
        )
        box = self.find("#viewer")
        self.value("arguments[0].scrollIntoView({block: 'center'})", box)
        at = x / ratio - box.rect["width"] / 2, y / ratio - box.rect["height"] / 2
        return ActionChains(self.browser, 0).move_to_element_with_offset(box, *map(round, at))

    def number(self, column, row=1, table="images"):
        """Return a number of a table of the page, as `morphometry.py` writes it."""
        cell = f"#{table} tbody tr:nth-child({row}) td[data-column={column}] data"
        return self.find(cell).get_attribute("value")

    def excluded(self):
        return self.value("return page.decisions.excluded()")


@pytest.fixture
def page(browser, folder):
    """The page, with nothing decided; nothing may have gone wrong on it in the end."""
    opened = Page(browser, folder / "morphometry/report.html")
    yield opened
    opened.value("localStorage.clear()")
    assert browser.get_log("browser") == []


def fibers(folder, name, out="morphometry"):
    return read_table(folder / out / f"{name}_fibers.csv")


def test_the_page_says_what_the_tables_say(page, folder):
    rows = read_table(folder / "morphometry/summary.csv")
    assert float(rows[0]["margin_fraction"]) == pytest.approx(60 / 340, rel=0.05)
    for place, row in enumerate(rows, 1):
        for column in (
            "fiber_count fiber_density_per_mm2 axon_diameter_um_mean myelin_thickness_um_mean "
            "g_ratio_mean g_ratio_median aggregate_g_ratio axon_area_fraction myelin_area_fraction"
        ).split():
            assert float(page.number(column, place)) == float(row[column]), column
    whole = sum(int(row["measured_fibers"]) for row in rows)
    label = page.find("#scatter").get_attribute("aria-label")
    assert f"of {whole} whole fibers; 0 excluded" in label
    assert HOSTILE in page.text("#groups"), "names are text"
    assert page.browser.title == "Myelin: 2 images"
    assert page.value("return performance.getEntriesByType('resource').map(e => e.name)") == []


def test_a_hover_shows_the_numbers_and_marks_the_dot(page, folder):
    row = fibers(folder, "one")[1]
    page.over(1).perform()
    page.wait(lambda: page.text("#fiber-title") == "Fiber 2 of one")
    assert f"{float(row['g_ratio']):.3f}" in page.text("#tip")
    assert f"{float(row['axon_diameter_um']):.3f} µm" in page.text("#fiber")
    assert page.value("return page.scatter.current") == 1


def test_a_click_excludes_and_every_number_follows(page, folder):
    page.over(2).click().perform()
    page.wait(lambda: page.excluded() == [2])
    kept = [float(row["g_ratio"]) for row in fibers(folder, "one")[:2]]
    for table, row in (("images", 1), ("groups", 1)):
        mean = float(page.number("g_ratio_mean", row, table))
        assert mean == pytest.approx(np.mean(kept), abs=1e-6)
    assert page.number("fiber_count") == "3" and page.number("excluded_fibers") == "1"
    assert "1 decision not in the tables yet" in page.text("#pending")
    assert page.text("#excluded tbody tr") == "one 3 by eye"
    page.over(2).click().perform()
    page.wait(lambda: page.excluded() == [])
    page.press("u")
    assert page.excluded() == [2]


def set_rule(page, option, limit):
    box = page.find(f"#rules input[data-rule={option}]")
    box.clear()
    box.send_keys(limit)


def test_doubtful_fibers_come_one_after_the_other(page):
    """Both images have one with a g-ratio below 0.55; a key decides on each."""
    assert page.text("#pending").startswith("0 doubtful fibers")
    set_rule(page, "--min-g-ratio", "0.55")
    assert page.text("#pending").startswith("2 doubtful fibers")
    page.press("n")
    said = page.text("#message")
    assert said.startswith("Fiber 3 of one:") and "g-ratio below 0.55" in said
    # The second key comes before the other image does, and is for neither fiber.
    page.value(
        "for (let i = 0; i < 2; i++) document.body.dispatchEvent("
        "new KeyboardEvent('keydown', { key: 'x', bubbles: true }))"
    )
    page.wait(lambda: "Fiber 3 of one excluded. Fiber 3 of ＝twö" in page.text("#message"))
    page.press("k")
    assert "No doubtful fibers" in page.text("#message")
    assert page.excluded() == [2] and page.text("#pending").startswith("0 doubtful")


def test_the_most_doubtful_fiber_of_an_image_comes_first(page):
    """The one with the thickest sheath, then the smallest; the page says why."""
    set_rule(page, "--max-doubt", "0.02")
    page.press("n")
    assert page.text("#message").startswith("Fiber 3 of one:")
    page.press("n")
    assert page.text("#message").startswith("Fiber 4 of one:")
    page.value("page.study.columns.doubt_word[3] = 7")
    assert "doubtful: much smaller than the others; doubt above 0.02" in page.value(
        "return page.stateText(3)"
    )


def test_the_keyboard_alone_reaches_every_fiber(page):
    page.press(Keys.ARROW_RIGHT)
    assert page.text("#fiber-title") == "Fiber 1 of one"
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.SPACE)
    assert page.excluded() == [1]
    page.find("#reason").send_keys("xkn")
    assert page.excluded() == [1], "letters typed into a field are no commands"


def test_a_rule_of_the_page_leaves_out_what_the_option_does(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    set_rule(page, "--min-g-ratio", "0.45")
    page.find("#exclude-doubtful").click()
    morphometry.main([*CALL, "--min-g-ratio", "0.45", "--no-pictures", "--out", "ruled"])
    rows = fibers(folder, "one", "ruled") + fibers(folder, "＝twö", "ruled")
    assert page.excluded() == [place for place, row in enumerate(rows) if row["excluded"]] != []
    reasons = page.value("return page.study.reason")
    assert reasons == [row["excluded"] for row in rows]


def test_decisions_outlive_the_page_and_the_tables_follow_them(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    page.find("#reason").send_keys('=1+1; "red"')
    page.over(1).click().perform()
    page.over(0).click().perform()
    page.value("return page.open(1)")
    page.over(6).click().perform()
    again = Page(page.browser, folder / "morphometry/report.html")
    assert again.excluded() == [0, 1, 6]
    saved = page.browser.downloads / "exclude.csv"
    again.find("#save").click()
    page.wait(saved.exists)
    said = again.text("#command")
    assert said.endswith("--groups groups.csv --exclude exclude.csv")
    columns = ("fiber_density_per_mm2", "g_ratio_mean", "aggregate_g_ratio", "myelin_area_fraction")
    shown = [float(again.number(column)) for column in columns]
    shutil.move(saved, "exclude.csv")
    morphometry.main([*CALL, "--exclude", "exclude.csv", "--out", "decided"])
    row = read_table("decided/summary.csv")[0]
    assert [float(row[column]) for column in columns] == shown
    for name, place in (("one", 1), ("＝twö", 2)):
        assert fibers(folder, name, "decided")[place]["excluded"].lstrip("'") == '=1+1; "red"'
    new = Page(page.browser, folder / "decided/report.html")
    assert new.excluded() == [0, 1, 6] and "not in the tables" not in new.text("#pending")
    assert [float(new.number(column)) for column in columns] == shown
    assert new.value("return localStorage.length") == 0, "what the tables say needs no keeping"
