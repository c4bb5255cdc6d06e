"""A headless Chromium on a pipe: loads a page as some screen would show it, and asks about it.

    with Browser() as b:
        page = b.open("/tmp/page.html", width=390, dark=True)
        page.value("document.title")
        page.picture("/tmp/page.png")
        page.complaints, page.requests

No network is used: the browser speaks through two descriptors, and pages are files."""

import base64
import json
import os
import shutil
import subprocess
import tempfile

PATIENCE = 60  # seconds for one answer


def find():
    """The browser's path, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session
        self.complaints = []  # what the console and the log of the page say
        self.requests = []    # addresses that were asked for

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def picture(self, path, whole=True):
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def hear(self, event, p):
        if event == "Network.requestWillBeSent":
            self.requests.append(p["request"]["url"])
        elif event == "Runtime.consoleAPICalled":
            self.complaints.append(" ".join(str(a.get("value")) for a in p["args"]))
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(p["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.complaints.append(p["entry"]["text"])
        elif event == "Page.loadEventFired":
            self.loaded = True


class Browser:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="virtualnet-browser-")
        to_read, self.to = os.pipe()
        self.frm, from_write = os.pipe()

        def place():  # it reads descriptor 3 and writes 4; first copies, out of the way
            read, write = os.dup(to_read), os.dup(from_write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [find(), "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
             "--user-data-dir=" + self.folder, "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=place, close_fds=False)
        os.close(to_read)
        os.close(from_write)
        self.left = b""
        self.next_id = 0
        self.pages = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self.process.wait(PATIENCE)
        except Exception:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.frm)
        shutil.rmtree(self.folder, ignore_errors=True)

    def receive(self):
        while b"\0" not in self.left:
            part = os.read(self.frm, 1 << 20)
            if not part:
                raise AssertionError("the browser is gone")
            self.left += part
        message, self.left = self.left.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != message["id"]:
            self.hear(answer)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def hear(self, message):
        page = self.pages.get(message.get("sessionId"))
        if page:
            page.hear(message["method"], message["params"])

    def open(self, path, width=1280, height=900, dark=False):
        """A page with nothing cached and no other open, when it has loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        page.loaded = False
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(domain + ".enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        page.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        page.call("Page.navigate", url="file://" + os.path.abspath(path))
        while not page.loaded:
            self.hear(self.receive())
        return page
