#!/usr/bin/python3
"""The page of virtualnet report in a real browser, on wide and narrow screens, light and dark."""
import os
import subprocess
import sys
import tempfile
import unittest

import browser
import trained

CLI = sys.argv.pop(1)

# Of every cell and every line of text: the contrast between ink and what is behind it.
CONTRASTS = """
(() => {
  const light = c => {
    const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (!/^rgba.*, 0\)$/.test(c)) return c;
    }
    return 'rgb(255, 255, 255)';
  };
  let worst = [99, ''];
  for (const e of document.querySelectorAll('td, th, p, dd, dt, small, h1, h2, h3, figcaption, a,' +
                                            ' summary, svg text')) {
    const s = getComputedStyle(e), ink = e.closest('svg') ? s.fill : s.color;
    const a = light(ink), b = light(ground(e));
    const c = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (c < worst[0])
      worst = [c, e.tagName + ' ' + e.className + ': ' + e.textContent.slice(0, 40)];
  }
  return worst;
})()"""

# Texts of charts that leave their picture, or lie on another of the same axis or legend.
MISPLACED = """
(() => {
  const wrong = [];
  for (const svg of document.querySelectorAll('svg.chart')) {
    const box = svg.getBoundingClientRect(), seen = [];
    for (const t of svg.querySelectorAll('text')) {
      const r = t.getBoundingClientRect();
      if (!r.width) continue;
      if (r.left < box.left - 1 || r.right > box.right + 1 || r.bottom > box.bottom + 1)
        wrong.push('outside: ' + t.textContent);
      for (const [o, u] of seen)
        if (r.left < o.right && o.left < r.right && r.top + 3 < o.bottom && o.top + 3 < r.bottom)
          wrong.push(u + ' and ' + t.textContent);
      seen.push([r, t.textContent]);
    }
  }
  return wrong;
})()"""

SPEECHLESS = "[...document.querySelectorAll('svg .mark')].filter(m => !m.querySelector('title')" \
             ".textContent).length"
BROKEN = "[...document.images].filter(i => !i.complete || i.naturalWidth != 28).length"


class ReportPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="virtualnet-page-")
        folder = cls.temporary.name
        cls.page = os.path.join(folder, "page.html")
        store = trained.train(CLI, os.path.join(folder, "run"))
        subprocess.run([CLI, "report", store, "--quiet", "--limit-images", "300", "--split", "test",
                        "--out", cls.page], check=True, timeout=600)
        cls.browser = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        cls.temporary.cleanup()

    def test_every_screen(self):
        for width in (390, 768, 1280):
            for dark in (False, True):
                with self.subTest(width=width, dark=dark):
                    self.look(self.browser.open(self.page, width=width, dark=dark), width, dark)

    def look(self, page, width, dark):
        if "PICTURES" in os.environ:  # for whoever wants to see them
            page.picture(os.path.join(os.environ["PICTURES"],
                                      f"report-{width}-{'dark' if dark else 'light'}.png"))
        page.value("document.querySelectorAll('details').forEach(d => d.open = true)")
        self.assertEqual(page.complaints, [])
        self.assertEqual([r for r in page.requests if not r.startswith("data:")],
                         ["file://" + self.page])
        self.assertEqual(page.value("document.documentElement.scrollWidth"), width)
        self.assertEqual(page.value("document.scripts.length"), 0)
        # 15 settings in two charts, but perhaps the lowest; lines over epochs; cells
        self.assertIn(page.value("document.querySelectorAll('#curves .mark').length"), (28, 30))
        self.assertEqual(page.value("document.querySelectorAll('#training .mark').length"), 18)
        self.assertEqual(page.value("document.querySelectorAll('#levels .mark').length"), 18)
        self.assertEqual(page.value("document.querySelectorAll('#agreement .mark').length"), 6)
        self.assertEqual(page.value("document.querySelectorAll('svg.chart').length"), 8)
        self.assertGreaterEqual(page.value("document.images.length"), 12)
        self.assertEqual(page.value(BROKEN), 0)
        self.assertEqual(page.value(SPEECHLESS), 0)
        self.assertEqual(page.value(MISPLACED), [])
        contrast, where = page.value(CONTRASTS)
        self.assertGreaterEqual(contrast, 4.5, where)
        ground = page.value("getComputedStyle(document.body).backgroundColor")
        self.assertEqual(ground, "rgb(16, 19, 23)" if dark else "rgb(246, 247, 249)")


if not browser.find():
    print("there is no Chromium here: the page was not looked at")
    sys.exit(77)
if not os.path.isdir(trained.FASHION):
    sys.exit(77)
unittest.main(verbosity=2)
