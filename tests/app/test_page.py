"""The whole job in a real browser, if one is installed: segment, correct, measure, download."""

import io
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from browsing import NEEDS_BROWSER, open_browser
from measuring import read_table, rings, save
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from myelin.images.image import read_mask, write_image

ROOT = Path(__file__).resolve().parents[2]
pytestmark = NEEDS_BROWSER
SHAPE = (300, 400)
CENTERS = [(60, 60), (160, 60), (260, 60), (60, 200), (160, 200)]


@pytest.fixture(scope="module")
def browser():
    found = open_browser()
    yield found
    found.quit()


class Window:
    """A server and its page, as a person uses them."""

    def __init__(self, browser, folder):
        self.browser, self.folder = browser, folder
        self.start()

    def start(self):
        call = [sys.executable, str(ROOT / "app.py"), "--no-browser"]
        self.process = subprocess.Popen(call, cwd=self.folder, stdout=subprocess.PIPE, text=True)
        self.address = re.search(r"http://\S+", self.process.stdout.readline())[0]
        self.browser.get(self.address)
        self.idle()

    def stop(self, kill=False):
        self.browser.get("about:blank")  # its stream of events would note the end
        self.process.kill() if kill else self.process.terminate()
        self.process.communicate(timeout=30)

    def idle(self):
        code = (
            "const done = arguments[0]; (async () => { while (!window.app) await new Promise("
            "(go) => setTimeout(go, 20)); await window.app.idle(); done(); })()"
        )
        self.browser.execute_async_script(code)

    def find(self, name):
        return self.browser.find_element(By.CSS_SELECTOR, f'[data-testid="{name}"]')

    def press(self, *names):
        for name in names:
            self.find(name).click()
            self.idle()

    def key(self, *keys):
        for key in keys:
            self.find("viewer").send_keys(key)
            self.idle()

    def pointer(self, *places, drag=False):
        """Click at places of the image one after the other, or drag through them."""
        chain = ActionChains(self.browser, 20).w3c_actions
        for index, (x, y) in enumerate(places):
            point = self.browser.execute_script("return window.app.pageOf(...arguments)", x, y)
            chain.pointer_action.move_to_location(round(point["x"]), round(point["y"]))
            if not drag:
                chain.pointer_action.click()
            elif index == 0:
                chain.pointer_action.pointer_down()
        if drag:
            chain.pointer_action.pointer_up()
        chain.perform()
        self.idle()

    @property
    def count(self):
        return int(self.find("fiber-count").text)

    def errors(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def study(browser, folder):
    """A window on a study of one image with five fibers, the second of which has been missed."""
    mask = rings(SHAPE, CENTERS, 16, 26)
    write_image("raw/test/one.tif", np.where(mask, 200, 90).astype(np.uint8))
    save(Path("preds/one_mask.tif"), rings(SHAPE, [CENTERS[0], *CENTERS[2:]], 16, 26))
    window = Window(browser, folder)
    yield window
    assert window.errors() == []
    window.stop()


def test_tools_decisions_undo_and_a_reload(study):
    sizes = study.find("pixel-size-one")
    sizes.send_keys("0.1", Keys.TAB)
    study.idle()
    study.press("open-one")
    assert study.count == 4
    study.press("tool-add")
    study.pointer(CENTERS[1])  # two actions for a missed fiber
    study.press("accept")
    assert study.count == 5
    study.press("tool-draw")
    study.pointer((240, 180), (280, 180), (280, 220), (240, 220))
    study.key(Keys.ENTER)
    assert study.count == 6
    study.press("tool-split")
    study.pointer((260, 165), (260, 235), drag=True)
    assert study.count == 7
    study.press("tool-merge")
    study.pointer((250, 200), (270, 200))
    assert study.count == 6
    study.press("tool-erase")
    study.pointer((60, 160), (60, 240), drag=True)
    study.press("tool-brush")
    study.pointer((60, 180), (61, 190), drag=True)
    study.press("tool-select")
    study.pointer((260, 200))
    study.press("delete")
    study.pointer(CENTERS[0])
    study.press("exclude")
    study.pointer(CENTERS[2])
    Select(study.find("class")).select_by_visible_text("swollen")
    study.idle()
    count, density = study.count, study.find("density").text
    assert [row["class"] for row in read_table(Path("classes.csv"))] == ["swollen"]
    study.browser.refresh()
    study.idle()
    assert (study.count, study.find("density").text) == (count, density)
    mask = read_mask("preds/one_mask.tif")
    while study.find("undo").is_enabled():
        study.press("undo")
    assert study.count == 4 and not Path("preds/one_axon.tif").exists()
    assert np.array_equal(
        read_mask("preds/one_mask.tif"), rings(SHAPE, [CENTERS[0], *CENTERS[2:]], 16, 26)
    )
    while study.find("redo").is_enabled():
        study.press("redo")
    assert study.count == count and np.array_equal(read_mask("preds/one_mask.tif"), mask)
    study.press("tool-nerve")
    study.pointer((10, 10), (220, 10), (220, 250), (10, 250))
    study.press("accept")
    assert study.count < count and Path("preds/one_nerve.tif").exists()
    study.press("tool-select")
    study.browser.find_element(By.CSS_SELECTOR, "[data-screen=images]").click()
    study.idle()
    study.press("measure")
    study.idle()
    (row,) = read_table(Path("morphometry/summary.csv"))
    study.browser.find_element(By.CSS_SELECTOR, "[data-screen=image]").click()
    study.idle()
    assert str(study.count) == row["fiber_count"]
    assert study.find("density").text == row["fiber_density_per_mm2"]
    assert study.find("mean-g").text == row["g_ratio_mean"]
    assert study.find("command").text.startswith("python morphometry.py")


def test_values_of_several_images_and_a_corner_of_the_nerve(study):
    shutil.copy("raw/test/one.tif", "two.tif")
    study.find("upload").send_keys(str(Path("two.tif").absolute()))
    study.idle()
    study.browser.find_element(By.ID, "all").click()
    for name, text in (("um", "0,1"), ("group", "control"), ("animal", "m1")):
        study.browser.find_element(By.ID, name).send_keys(text)
    study.browser.find_element(By.ID, "set").click()
    study.idle()
    assert study.find("pixel-size-two").get_attribute("value") == "0.1"
    study.find("animal-one").send_keys("b", Keys.TAB)
    study.idle()
    (row,) = read_table(Path("groups.csv"))  # that of the image with a mask
    assert [*row.values()] == ["one", "control", "m1b"]
    write_image("preds/one_nerve.tif", np.pad(np.ones((200, 200), np.uint8), [(50, 50), (50, 150)]))
    study.press("open-one", "tool-nerve")
    study.pointer((50, 50), (10, 10), drag=True)
    nerve = read_mask("preds/one_nerve.tif")
    assert nerve[20, 20] and not nerve[270, 20]
    study.pointer((249, 150), (300, 150), drag=True)  # a new corner on a line
    assert read_mask("preds/one_nerve.tif")[150, 280]
    study.pointer((300, 150))
    study.key(Keys.DELETE)
    assert not read_mask("preds/one_nerve.tif")[150, 280]


def test_two_windows_follow_each_other_and_a_kill_loses_nothing(study):
    study.press("open-one")
    first = study.browser.current_window_handle
    study.browser.switch_to.new_window("tab")
    study.browser.get(study.address)
    study.idle()
    study.press("open-one", "tool-select")
    study.pointer(CENTERS[0])
    study.press("delete")
    second = study.browser.current_window_handle
    study.browser.switch_to.window(first)
    end = time.monotonic() + 20
    while study.count != 3 and time.monotonic() < end:
        time.sleep(0.1)
    assert study.count == 3
    study.browser.switch_to.window(second)
    study.browser.close()
    study.browser.switch_to.window(first)
    study.browser.get("about:blank")
    study.stop(kill=True)
    study.errors()
    study.start()
    study.press("open-one")
    assert study.count == 3
    study.press("undo")
    assert study.count == 4


def test_from_upload_to_download(browser, folder):
    window = Window(browser, folder)
    for number in (1, 2):
        path = ROOT / f"raw/test/synthetic_test_0{number}.tif"
        window.find("upload").send_keys(str(path))
        window.idle()
    assert window.find("row-synthetic_test_01").is_displayed()
    assert float(window.find("pixel-size-synthetic_test_01").get_attribute("value")) == 0.15
    window.press("segment")
    assert "segmented" in window.find("row-synthetic_test_02").text
    window.press("open-synthetic_test_02", "next")
    assert window.count > 20
    window.browser.find_element(By.CSS_SELECTOR, "[data-screen=images]").click()
    window.idle()
    window.press("measure")
    link = window.find("download").get_attribute("href")
    content = window.browser.execute_async_script(
        "const done = arguments[1]; fetch(arguments[0]).then((answer) => answer.arrayBuffer())"
        ".then((buffer) => done(Array.from(new Uint8Array(buffer))))",
        link,
    )
    names = zipfile.ZipFile(io.BytesIO(bytes(content))).namelist()
    assert {"morphometry/summary.csv", "morphometry/report.html", "command.txt"} <= set(names)
    assert window.errors() == []
    window.stop()
