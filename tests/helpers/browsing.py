"""A Chromium driven by selenium, for tests of the window and of the report."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("selenium")
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

BROWSERS = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
BROWSER, DRIVER = next(filter(None, BROWSERS), None), shutil.which("chromedriver")
NEEDS_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="no browser that can be driven"),
]


def open_browser(downloads: Path | None = None) -> Chrome:
    """Return a browser with a window of 1280 x 940 that saves into the folder `downloads`."""
    options = ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1280,940"):
        options.add_argument(f"--{argument}")
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    browser = Chrome(options=options, service=Service(DRIVER))
    browser.set_script_timeout(300)
    return browser
