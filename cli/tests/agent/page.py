"""Looks at the agent's page in headless Chromium, by its DevTools protocol over a pipe: chromedriver
takes a port of its own choice for two addresses, and ends where the second is not free.

usage: page.py URL DIRECTORY PLAN
  PLAN  JSON: what the page must show, written by page.rs
Pictures are left in DIRECTORY. Ends with 1 and a sentence if something is not so.
"""

import base64
import fcntl
import json
import os
import pathlib
import select
import subprocess
import sys
import time

LIMIT = 60
CHROMIUM = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-pipe", "about:blank",
]
# What is called for by the names of keys; everything else is what it types.
NAMED = {"\t": ("Tab", 9, ""), "\r": ("Enter", 13, "\r")}
TAB, ENTER = NAMED


class Browser:
    def __init__(self, directory):
        # It reads at descriptor 3 and writes at 4: no end that is ours may stand there.
        theirs, ours = os.pipe()
        self.write = fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 10)
        ours, others = os.pipe()
        self.read = fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 10)
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs, others)]

        def place():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.said = open(pathlib.Path(directory) / "chromium.log", "w+")
        self.process = subprocess.Popen(
            CHROMIUM + [f"--user-data-dir={directory}/profile"], preexec_fn=place,
            pass_fds=(3, 4), stdout=self.said, stderr=subprocess.STDOUT)
        for end in ends:
            os.close(end)
        self.unread, self.number, self.session, self.log = b"", 0, None, []
        page = self.until("a page is there", lambda: next(
            (it for it in self.ask("Target.getTargets")["targetInfos"] if it["type"] == "page"), None))
        self.session = self.ask(
            "Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def message(self):
        """The next one of the browser's."""
        end = time.monotonic() + LIMIT
        while b"\0" not in self.unread:
            ready, _, _ = select.select([self.read], [], [], max(0, end - time.monotonic()))
            more = os.read(self.read, 1 << 20) if ready else b""
            if not more:
                self.said.seek(0)
                raise SystemExit(f"the browser {'ended' if ready else 'hangs'}: {self.said.read()[-2000:]}")
            self.unread += more
        message, self.unread = self.unread.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method, **parameters):
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        request = json.dumps(request).encode() + b"\0"
        while request:
            request = request[os.write(self.write, request):]
        while True:
            answer = self.message()
            # A policy that was broken, or an error of the script.
            if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown",
                                        "Runtime.consoleAPICalled"):
                self.log.append(answer["params"])
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]

    def evaluate(self, expression, **more):
        answer = self.ask("Runtime.evaluate", expression=expression, **more)
        if "exceptionDetails" in answer:
            raise SystemExit(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"]

    def run(self, script):
        """The value of that function body."""
        return self.evaluate(f"(() => {{ {script} }})()", returnByValue=True).get("value")

    def told(self, selector):
        """What a screen reader says: role and name."""
        element = self.evaluate(f"document.querySelector({json.dumps(selector)})")["objectId"]
        node, = self.ask(
            "Accessibility.getPartialAXTree", objectId=element, fetchRelatives=False)["nodes"]
        return [node["role"]["value"], node["name"]["value"]]

    def text(self, selector):
        return self.run(f"return document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def press(self, *keys):
        for key in keys:
            name, code, text = NAMED.get(key, (key, ord(key.upper()), key))
            parts = {"key": name, "windowsVirtualKeyCode": code}
            self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **parts)
            self.ask("Input.dispatchKeyEvent", type="keyUp", **parts)

    def until(self, what, condition):
        end = time.monotonic() + LIMIT
        while not (answer := condition()):
            if time.monotonic() > end:
                raise SystemExit(f"waited in vain until {what}: {self.text('body')[:2000]}")
            time.sleep(0.05)
        return answer

    def picture(self, path, width, height, scheme):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 600)
        self.ask("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": scheme}])
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))
        return self.run("return [getComputedStyle(document.body).backgroundColor,"
                        " document.documentElement.scrollWidth <= innerWidth]")

    def end(self):
        self.process.terminate()
        self.process.wait(LIMIT)


def expect(is_so, what):
    if not is_so:
        raise SystemExit(f"not so: {what}")


def look(browser, url, directory, plan):
    browser.ask("Page.navigate", url=url)
    total, need = plan["certificates"], plan["need"]
    counts = f"{total} certificates, {plan['stapled']} stapled, {need} need you"
    browser.until(counts, lambda: browser.text("#counts") == counts)
    told = browser.text("#next")
    for part in plan["next"]:
        expect(part in told, f"{part!r} in {told!r}")

    rows = "return document.querySelectorAll('#rows tr').length"
    expect(browser.run(rows) == min(total, 1000), "as many rows as there may be")
    expect(browser.run("return document.querySelector('#pages').hidden") == (total <= 1000),
           "pages if there are more than 1,000")
    states = browser.run("return [...document.querySelectorAll('#rows .state')].map("
                         "(it) => it.classList.contains('bad'))")
    expect(states == sorted(states, reverse=True), "what needs a person comes first")
    expect(sum(states) == min(need, 1000), "all that need a person are marked")
    for sentence in plan["sentences"]:
        expect(sentence in browser.text("#rows"), f"{sentence!r} in the table")

    for part in plan["responders"]:
        expect(part in browser.text("#responders"), f"{part!r} in {browser.text('#responders')!r}")

    expect(browser.run("return document.querySelector('#fleet').hidden") == ("fleet" not in plan),
           "the fleet is shown where there is one")
    for part in plan.get("fleet", []):
        browser.until(part, lambda: part in browser.text("#fleet"))
    expect("fleet" not in plan or "another agent of the fleet" in browser.run(
        "return document.querySelector('#rows').textContent"), "who fetched it")

    # What others chose is text.
    for subject in plan["hostile"]:
        expect(subject in browser.text("#rows"), f"{subject!r} in the table")
    expect(browser.run("return document.querySelectorAll('#rows img, #rows script').length") == 0,
           "no markup in the table")
    controls = browser.run(r"return /[\p{Cc}\p{Cf}]/u.test("
                           "document.querySelector('#rows').textContent)")
    expect(not controls, "no control characters in the table")

    # A screen reader hears what a field is for, and what a bar shows.
    expect(browser.told("#find") == ["searchbox", "Find"], browser.told("#find"))
    expect(browser.told("#state") == ["combobox", "State"], browser.told("#state"))
    expect(browser.told("thead th")[0] == "columnheader", browser.told("thead th"))
    expect(browser.told("#rows th")[0] == "rowheader", browser.told("#rows th"))
    if plan["stapled"]:
        role, label = browser.told("#rows .bar")
        expect(role in ("img", "image") and "thisUpdate" in label and "ends" in label, (role, label))

    # All of it by the keyboard: find, sort, details.
    browser.press(TAB)
    expect(browser.run("return document.activeElement.id") == "find", "the first tab stop")
    browser.press(*plan["find"])
    browser.until("it finds", lambda: browser.run(rows) == plan["found"])
    browser.run("document.querySelector('#find').value = '';"
                "document.querySelector('#find').dispatchEvent(new Event('input'))")
    browser.press(TAB, TAB, TAB, ENTER)
    sorted_by = "return document.querySelector('#sort').value"
    expect(browser.run(sorted_by) == "subject", "Enter on a heading sorts")
    expect(browser.run("return document.querySelector('thead th').ariaSort") == "ascending",
           "the heading says so")
    browser.press(TAB, TAB, TAB, TAB, TAB, ENTER)
    expect(browser.run("return document.querySelector('#rows details').open"), "details open")
    # However soon after it the table is drawn anew.
    for wanted in (False, True):
        is_open = browser.run("document.querySelector('#rows summary').click();"
                              "document.querySelector('#find').dispatchEvent(new Event('input'));"
                              "return document.querySelector('#rows details').open")
        expect(is_open == wanted, f"details are {'open' if wanted else 'closed'} after it")
    expect(browser.run("return document.querySelectorAll('#rows details[open]').length") == 1,
           "those of this row alone")
    if total > 1000:
        browser.run("document.querySelector('#on').click()")
        expect(browser.text("#page").startswith("page 2 of"), "the second page")
        expect(browser.run("return document.querySelector('#back').disabled") is False, "a way back")

    colours = set()
    for name, width, scheme in [("light", 1200, "light"), ("dark", 1200, "dark"),
                                ("telephone", 390, "light")]:
        colour, fits = browser.picture(
            pathlib.Path(directory) / f"{name}-{total}.png", width, 1000, scheme)
        colours.add(colour)
        expect(fits, f"{name}: nothing is wider than the window")
    expect(len(colours) == 2, "light and dark differ")

    expect(browser.log == [], browser.log)


def main():
    url, directory, plan = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    browser = Browser(directory)
    try:
        look(browser, url, directory, plan)
    finally:
        browser.end()


main()
