"""Measure `report.html` in a browser: first paint, a fiber chosen, a mark, another image, memory.

    python benchmarks/report_page.py morphometry/report.html

Needs selenium, Chromium and its chromedriver. Times are medians, with the longest in brackets.
"""

import shutil
import statistics
import sys
import time
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

# Each action is timed until the frame after it is drawn.
TIMED = """
const [count, done] = arguments, times = [], { canvas } = page;
const act = async (i) => {
  const fiber = canvas.view.first + (i * 7) % canvas.view.count;
  ACTION
};
(async () => {
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await act(i);
    await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
    times.push(performance.now() - start);
  }
  gc();
  done([times, performance.memory.usedJSHeapSize / 1e6]);
})();
"""
ACTIONS = {
    "a fiber chosen": (60, "page.choose(fiber);"),
    "a fiber excluded": (200, "page.current = fiber; page.exclude();"),
    "another image": (10, "await page.open((i + 1) % page.study.images.length);"),
}


def main():
    path = Path(sys.argv[1]).resolve()
    options = ChromeOptions()
    arguments = "headless=new no-sandbox disable-gpu window-size=1500,1000 js-flags=--expose-gc"
    for argument in [*arguments.split(), "enable-precise-memory-info"]:
        options.add_argument(f"--{argument}")
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    browser = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    browser.set_script_timeout(300)
    paints = []
    for _ in range(5):
        browser.get(path.as_uri())
        while browser.execute_script("return window.page?.canvas.index") != 0:
            time.sleep(0.1)
        code = "return performance.getEntriesByType('paint')[0].startTime"
        paints.append(browser.execute_script(code))
    images, fibers = browser.execute_script("return [page.study.images.length, page.study.count]")
    print(f"{images} images, {fibers} fibers, {path.stat().st_size / 1e6:.1f} MB")
    print_times("first paint", paints)
    for what, (count, action) in ACTIONS.items():
        code = TIMED.replace("ACTION", action)
        times, memory = browser.execute_async_script(code, count)
        print_times(f"{what}, {memory:.1f} MB in use", times)
    browser.execute_script("localStorage.clear()")
    browser.quit()


def print_times(what, times):
    print(f"{what}: {statistics.median(times):.0f} ms ({max(times):.0f})")


if __name__ == "__main__":
    main()
