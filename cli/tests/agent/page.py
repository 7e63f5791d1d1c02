"""Looks at the agent's page in headless Chromium, by chromedriver (W3C WebDriver).

usage: page.py URL DIRECTORY PLAN
  PLAN  JSON: what the page must show, written by page.rs
Pictures are left in DIRECTORY. Ends with 1 and a sentence if something is not so.
"""

import json
import pathlib
import subprocess
import sys
import time
import urllib.request

LIMIT = 60
CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
]


class Browser:
    def __init__(self, directory):
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                port = line.rsplit(" ", 1)[1].strip().rstrip(".")
                break
        else:
            raise SystemExit("chromedriver did not start")
        self.base = f"http://127.0.0.1:{port}/session"
        options = {"args": CHROMIUM + [f"--user-data-dir={directory}/profile"]}
        made = self.ask("POST", "", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.base += "/" + made["sessionId"]

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.read().decode()}") from error

    def run(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector):
        found = self.ask("POST", "/element", {"using": "css selector", "value": selector})
        return next(iter(found.values()))

    def told(self, selector):
        """What a screen reader says: role and name."""
        element = self.find(selector)
        return [self.ask("GET", f"/element/{element}/{what}")
                for what in ("computedrole", "computedlabel")]

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def press(self, *keys):
        actions = [step for key in keys for step in (
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key})]
        self.ask("POST", "/actions", {"actions": [
            {"type": "key", "id": "keyboard", "actions": actions}]})

    def until(self, what, condition):
        end = time.monotonic() + LIMIT
        while not (answer := condition()):
            if time.monotonic() > end:
                raise SystemExit(f"waited in vain until {what}: {self.text('body')[:2000]}")
            time.sleep(0.05)
        return answer

    def picture(self, path, width, height, scheme):
        self.ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}})
        self.ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]}})
        shot = self.ask("POST", "/goog/cdp/execute", {
            "cmd": "Page.captureScreenshot", "params": {}})["data"]
        import base64
        path.write_bytes(base64.b64decode(shot))
        return self.run("return [getComputedStyle(document.body).backgroundColor,"
                        " document.documentElement.scrollWidth <= innerWidth]")

    def end(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(LIMIT)


def expect(is_so, what):
    if not is_so:
        raise SystemExit(f"not so: {what}")


TAB, ENTER = "\ue004", "\ue007"


def look(browser, url, directory, plan):
    browser.ask("POST", "/url", {"url": url})
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

    # A policy that was broken, or an error of the script, would stand here.
    log = browser.ask("POST", "/se/log", {"type": "browser"})
    expect(log == [], log)


def main():
    url, directory, plan = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    browser = Browser(directory)
    try:
        look(browser, url, directory, plan)
    finally:
        browser.end()


main()
