"""What every page has to pass in a browser: nothing serious for axe, nothing to scroll sideways on a small phone."""

import importlib.util
from pathlib import Path

from selenium.webdriver import Chrome

# The wheel is only taken for the axe-core in it; its own driver is for another kind of browser control.
AXE = Path(str(importlib.util.find_spec("axe_playwright_python").origin)).parent / "axe.min.js"  # type: ignore[union-attr]


def check(browser: Chrome) -> None:
    """Nothing serious or critical for axe, and nothing to scroll sideways on a small phone."""
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    bad = [
        (rule["id"], rule["help"], [node["html"] for node in rule["nodes"]])
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]
    assert not bad, f"{browser.current_url}: {bad}"
    size = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    width = browser.execute_script("return document.documentElement.scrollWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 360, f"{browser.current_url} is {width} wide"
