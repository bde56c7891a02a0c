"""Measure `report.html` in a browser: first paint, hover, exclusion, change of image, memory.

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
const [count, done] = arguments, times = [];
const image = page.study.images[page.viewer.index], box = page.viewer.box.getBoundingClientRect();
const actions = {
  exclude: (i) => page.toggle(image.first + (i * 7) % image.count),
  hover: (i) => page.viewer.box.dispatchEvent(new PointerEvent("pointermove", {
    clientX: box.left + box.width * (0.25 + 0.5 * (i * 37 % 60) / 60),
    clientY: box.top + box.height * (0.2 + 0.6 * (i * 17 % 60) / 60), bubbles: true })),
};
const next = () => {
  if (times.length === count) return done(times);
  const start = performance.now();
  actions.ACTION(times.length);
  requestAnimationFrame(() => setTimeout(() => { times.push(performance.now() - start); next(); }));
};
next();
"""
IMAGES = """
const [count, done] = arguments, times = [];
(async () => {
  for (let i = 1; i <= count; i++) {
    const start = performance.now();
    await page.open(i % page.study.images.length);
    times.push(performance.now() - start);
  }
  done(times);
})();
"""
MEMORY = """
const [count, done] = arguments, image = page.study.images[page.viewer.index];
const used = async () => {
  for (let i = 0; i < 3; i++) { gc(); await new Promise((then) => setTimeout(then, 100)); }
  return performance.memory.usedJSHeapSize / 1e6;
};
(async () => {
  const before = await used();
  for (let i = 0; i < count; i++) {
    page.toggle(image.first + i % image.count);
    if (i % 5 === 0) await new Promise(requestAnimationFrame);
  }
  done([before, await used()]);
})();
"""


def start():
    """Return a headless browser."""
    options = ChromeOptions()
    arguments = "headless=new no-sandbox disable-gpu window-size=1500,1000 js-flags=--expose-gc"
    for argument in [*arguments.split(), "enable-precise-memory-info"]:
        options.add_argument(f"--{argument}")
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    browser = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    browser.set_script_timeout(300)
    return browser


def main():
    path = Path(sys.argv[1]).resolve()
    browser = start()
    paints = []
    for _ in range(5):
        browser.get(path.as_uri())
        while browser.execute_script("return page.viewer.index") < 0:
            time.sleep(0.1)
        code = "return performance.getEntriesByType('paint')[0].startTime"
        paints.append(browser.execute_script(code))
    images, fibers = browser.execute_script("return [page.study.images.length, page.study.count]")
    print(f"{images} images, {fibers} fibers, {path.stat().st_size / 1e6:.1f} MB")
    print_times("first paint", paints)
    for action in ("hover", "exclude"):
        times = browser.execute_async_script(TIMED.replace("ACTION", action), 60)
        print_times(f"{action}, to the next frame", times)
    print_times("another image", browser.execute_async_script(IMAGES, 10))
    before, after = browser.execute_async_script(MEMORY, 1000)
    print(f"memory: {before:.1f} MB, after 1,000 exclusions {after:.1f} MB")
    browser.execute_script("localStorage.clear()")
    browser.quit()


def print_times(what, times):
    print(f"{what}: {statistics.median(times):.0f} ms ({max(times):.0f})")


if __name__ == "__main__":
    main()
