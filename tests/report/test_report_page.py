"""report.html in a real browser, if one is installed (Debian: chromium, chromium-driver)."""

import shutil
import time
from pathlib import Path

import pytest
from browsing import NEEDS_BROWSER, open_browser
from measuring import read_table, ring, rings, save
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import morphometry

pytestmark = NEEDS_BROWSER
CALL = ["--pixel-size", "0.1", "--groups", "groups.csv"]
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">"
CENTERS = [(50, 60), (140, 60), (230, 60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two images of three fibers and one at the border; the third has a thick sheath.

    Names are hostile: one of an image is a formula, one of a group is HTML.
    """
    path = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for name, thick in (("one", 9), ("＝twö", 16)):
            mask = rings((120, 340), CENTERS, 20, 32)
            mask |= ring(mask.shape, *CENTERS[2], thick, 32)[0]
            mask |= ring(mask.shape, 20, 110, 8, 14)[0]
            save(Path(f"preds/{name}_mask.tif"), mask)
        Path("groups.csv").write_text(
            f'image,group,animal\none,"{HOSTILE.replace(chr(34), chr(34) * 2)}",A\n＝twö,b,B\n',
            encoding="utf-8",
        )
        morphometry.main(CALL)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    downloads = tmp_path_factory.mktemp("downloads")
    found = open_browser(downloads)
    found.downloads = downloads
    yield found
    found.quit()


class Page:
    """The page as a person uses it."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get(path.as_uri())
        self.wait(lambda: self.value("return window.page?.canvas.index") == 0)

    def value(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def wait(self, condition):
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "nothing happened"
            time.sleep(0.02)

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return [found.text for found in self.browser.find_elements(By.CSS_SELECTOR, selector)]

    def text(self, selector):
        return self.find(selector).text

    def press(self, *keys):
        for key in keys:
            self.find("#viewer").send_keys(key)
            self.wait(lambda: not self.value("return page.going"))

    def over(self, fiber):
        """Return the moves of the pointer onto the sheath of a fiber of the image shown."""
        canvas = self.find("#viewer")
        self.value("arguments[0].scrollIntoView({block: 'center'})", canvas)
        place = self.value(
            "page.canvas.fit(); const { x_px: x, y_px: y } = page.study.columns, f = arguments[0];"
            "const at = page.canvas.pageOf(x[f] + 26, y[f]), box = page.canvas.canvas"
            ".getBoundingClientRect();"
            "return [at.x - box.left - box.width / 2, at.y - box.top - box.height / 2]",
            fiber,
        )
        return ActionChains(self.browser, 0).move_to_element_with_offset(canvas, *map(round, place))

    def choose(self, fiber):
        self.over(fiber).click().perform()
        self.wait(lambda: self.value("return page.current") == fiber)

    def number(self, column, row=1, table="images"):
        """Return a number of a table of the page, as `morphometry.py` writes it."""
        cell = f"#{table} tbody tr:nth-child({row}) td[data-column={column}] data"
        return self.find(cell).get_attribute("value")

    def excluded(self):
        return self.value("return page.marks.listed('excluded')")

    def save(self, name, button):
        saved = self.browser.downloads / name
        self.find(button).click()
        self.wait(saved.exists)
        shutil.move(saved, name)


@pytest.fixture
def page(browser, folder):
    """The page without marks; nothing may have gone wrong on it in the end."""
    opened = Page(browser, folder / "morphometry/report.html")
    yield opened
    opened.value("localStorage.clear()")
    assert browser.get_log("browser") == []


def fibers(folder, name, out="morphometry"):
    return read_table(folder / out / f"{name}_fibers.csv")


def test_the_page_shows_the_numbers_of_the_tables(page, folder):
    for table, file in (("images", "summary"), ("groups", "per_group")):
        for place, row in enumerate(read_table(folder / f"morphometry/{file}.csv"), 1):
            cells = f"#{table} tbody tr:nth-child({place}) td[data-column]"
            columns = page.value(
                "return [...document.querySelectorAll(arguments[0])]"
                ".map((td) => td.dataset.column)",
                cells,
            )
            assert len(columns) >= 6 and any("density_nerve" in column for column in columns)
            for column in set(columns) - {"doubtful"}:
                assert float(page.number(column, place, table)) == float(row[column]), column
    assert HOSTILE in page.text("#groups"), "names are text"
    assert page.browser.title == "Myelin: 2 images"
    assert page.value("return performance.getEntriesByType('resource').map(e => e.name)") == []
    loaded = "return [...document.images].map((one) => one.naturalWidth > 300)"
    assert page.value(loaded) == [True] * 3, "figures"


def test_a_fiber_is_chosen_by_pointer_plot_and_keys(page, folder):
    row = fibers(folder, "one")[1]
    page.over(1).perform()
    page.wait(lambda: f"{float(row['g_ratio']):.3f}" in page.text("#tip"))
    page.choose(1)
    assert page.text("#fiber-title") == "Fiber 2 of one" and page.excluded() == []
    assert f"{float(row['axon_diameter_um']):.3f}" in page.text("#fiber")
    page.press(Keys.ARROW_RIGHT)
    assert page.text("#fiber-title") == "Fiber 3 of one"
    page.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert page.text("#fiber-title") == "Fiber 1 of one"
    dot = page.value(
        "const [dot] = page.scatter.points.slice(-1), box = page.scatter.canvas"
        ".getBoundingClientRect(); return [dot.left - box.width / 2, dot.top - box.height / 2]"
    )
    canvas = page.find("#scatter")
    page.value("arguments[0].scrollIntoView({block: 'center'})", canvas)
    move = ActionChains(page.browser, 0).move_to_element_with_offset(canvas, *map(round, dot))
    move.click().perform()
    page.wait(lambda: page.text("#fiber-title") == "Fiber 3 of one")


def test_fibers_and_images_are_sorted_and_searched(page, folder):
    everything = fibers(folder, "one") + fibers(folder, "＝twö")
    assert len(page.all("#fibers tbody tr")) == len(everything)
    for reverse in (True, False):
        page.find("#fibers th:nth-child(6) button").click()
        shown = page.value(
            "return [...document.querySelectorAll('#fibers td[data-column=g_ratio] data')]"
            ".map((data) => Number(data.value))"
        )
        assert shown == sorted((float(row["g_ratio"]) for row in everything), reverse=reverse)
    assert page.find("#fibers th:nth-child(6)").get_attribute("aria-sort") == "ascending"
    page.find("#find-fiber").send_keys("twö border")
    assert len(page.all("#fibers tbody tr")) == 1
    page.find("#fibers tbody button").click()
    page.wait(lambda: page.text("#fiber-title") == "Fiber 4 of ＝twö")
    page.find("#find-image").send_keys("one")
    assert page.all("#images tbody td:first-child") == ["one"]


def test_marks_wait_for_the_next_run(page):
    assert not page.find("#waiting").is_displayed() and not page.find("#undo").is_enabled()
    before = page.text("#images")
    page.choose(2)
    page.press("x")
    assert page.excluded() == [2] and page.text("#state") == "excluded: by eye"
    assert "(1 mark)" in page.text("#waiting")
    assert page.text("#command").endswith("--groups groups.csv --exclude exclude.csv")
    page.press("k")
    assert page.excluded() == [] and not page.find("#waiting").is_displayed()
    page.press("c")
    page.browser.switch_to.active_element.send_keys("xk thin", Keys.ENTER)
    assert page.text("#state") == "kept, class xk thin", "letters in a field are no marks"
    assert page.text("#command").endswith("--groups groups.csv --classes classes.csv")
    assert page.text("#images") == before, "numbers are those of Python"
    page.press("u", "u", "u")
    assert not page.find("#waiting").is_displayed() and page.text("#state") == "whole"
    page.press("x")
    page.find("#reset").click()
    assert page.excluded() == []
    page.press("u")
    assert page.excluded() == [2]


def test_doubtful_fibers_come_one_after_the_other(page):
    """Two by another limit than that of the run, the second in the other image."""
    page.value("page.study.doubtful.push(3, 2, 6); page.marks.doubtful = new Set([3, 2, 6]);")
    page.value("page.study.columns.doubt_reason[3] = 'much smaller'; page.update([])")
    assert page.text("#status").startswith("3 doubtful fibers")
    page.press("n")
    assert page.text("#message").startswith("Fiber 4 of one: doubtful: much smaller")
    page.press("k")
    assert "Fiber 4 of one kept. Fiber 3 of one" in page.text("#message")
    # The second key comes before the other image does, and marks neither fiber.
    page.value(
        "for (let i = 0; i < 2; i++) document.body.dispatchEvent("
        "new KeyboardEvent('keydown', { key: 'x', bubbles: true }))"
    )
    page.wait(lambda: "Fiber 3 of one excluded. Fiber 3 of ＝twö" in page.text("#message"))
    page.press("k")
    assert page.text("#message").endswith("No doubtful fiber is left without a mark.")
    assert page.excluded() == [2] and page.text("#status").startswith("0 doubtful")


def test_marks_outlive_the_page_and_the_tables_follow_them(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    page.find("#reason").send_keys('=1+1; "red"')
    for fiber in (1, 0):
        page.choose(fiber)
        page.press("x")
    page.value("return page.open(1)")
    page.choose(5)
    page.press("x")
    page.choose(6)
    page.find("#class").send_keys("thin", Keys.ENTER)
    again = Page(page.browser, folder / "morphometry/report.html")
    assert again.excluded() == [0, 1, 5]
    again.save("exclude.csv", "#save-excluded")
    again.save("classes.csv", "#save-classes")
    tables = ["--exclude", "exclude.csv", "--classes", "classes.csv"]
    assert again.text("#command").endswith(" ".join(["--groups groups.csv", *tables]))
    morphometry.main([*CALL, *tables, "--out", "marked"])
    for name, row in (("one", 1), ("＝twö", 1)):
        assert fibers(folder, name, "marked")[row]["excluded"].lstrip("'") == '=1+1; "red"'
    assert [row["class"] for row in fibers(folder, "＝twö", "marked")] == ["", "", "thin", ""]
    new = Page(page.browser, folder / "marked/report.html")
    assert new.excluded() == [0, 1, 5] and not new.find("#waiting").is_displayed()
    assert new.number("excluded_fibers") == "2"
    assert new.value("return localStorage.length") == 0, "what the tables hold needs no keeping"
    morphometry.main([*CALL, *tables, "--leave-out-class", "thin", "--out", "marked"])
    new = Page(page.browser, folder / "marked/report.html")
    assert new.excluded() == [0, 1, 5, 6]
    new.value("return page.goTo(6)")
    new.press("k")
    assert new.excluded() == [0, 1, 5] and new.text("#state") == "kept", "without its class"
    assert new.text("#command").endswith(
        "--leave-out-class thin --out marked --exclude exclude.csv"
    )


def test_the_page_fits_a_small_screen_and_every_control_has_a_name(page):
    assert page.value("return document.documentElement.scrollWidth <= innerWidth")
    nameless = page.value(
        "return [...document.querySelectorAll('button, input, select, canvas, img, [tabindex]')]"
        ".filter((one) => !one.textContent.trim())"
        ".filter((one) => !(one.ariaLabel || one.alt || one.labels?.length))"
        ".map((one) => one.outerHTML)"
    )
    assert nameless == []
    assert page.find("#viewer").rect["height"] > 380
