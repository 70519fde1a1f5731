"""Every letter as a mail program shows it: in the light, in the dark, on a narrow screen, and from right to left.

LETTER_PICTURES=DIR keeps the pictures, to be looked at.
"""

import os
import pathlib
from typing import Any
from urllib.parse import quote

import pytest
from selenium import webdriver

from server.services.letters import COMPOSERS
from tests.letters.test_in_each_language import write

pytestmark = [pytest.mark.browser, pytest.mark.nightly]

# look -> (language, colours, width)
LOOKS = {
    "light": ("en", "light", 640),
    "dark": ("en", "dark", 640),
    "narrow": ("de", "light", 320),
    "right-to-left": ("ar", "light", 640),
    "right-to-left-narrow-dark": ("ar", "dark", 320),
}
# The contrast (WCAG 2.2, 1.4.3) of each element that has text of its own, against the nearest background.
CONTRASTS = """
const channels = colour => colour.match(/[\\d.]+/g).map(Number);
const luminance = colour => {
  const [r, g, b] = channels(colour).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const background = element => {
  for (let e = element; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if ((channels(colour)[3] ?? 1) > 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
return [...document.body.querySelectorAll("*")]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
  .map(e => {
    const [a, b] = [luminance(getComputedStyle(e).color), luminance(background(e))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent.trim().slice(0, 40)];
  });
"""


@pytest.mark.parametrize("look", LOOKS)
def test_every_letter_is_readable(browser: webdriver.Chrome, context: None, tmp_path: pathlib.Path, look: str) -> None:
    language, colours, width = LOOKS[look]
    folder = pathlib.Path(os.environ.get("LETTER_PICTURES", tmp_path))
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": colours}]}
    )
    for name in sorted(COMPOSERS):
        html = write(name, language, zone="Europe/Lisbon").html
        browser.get(f"data:text/html;charset=utf-8,{quote(html)}")
        browser.save_screenshot(str(folder / f"{name}-{look}.png"))
        sizes: Any = browser.execute_script(
            "return [document.documentElement.scrollWidth, innerWidth, getComputedStyle(document.body).direction]"
        )
        assert sizes[0] <= width, f"{name} is wider than the screen"
        assert sizes[2] == ("rtl" if language == "ar" else "ltr")
        weak = [found for found in browser.execute_script(CONTRASTS) if found[0] < 4.5]
        assert weak == [], name
