#!/usr/bin/env python3
"""Looks at the pages of a running instance as people meet them: by keyboard, in the dark, on a phone, without scripts.

    scripts/check_page.py http://127.0.0.1:9464 [--screens FOLDER] [--chromium /usr/bin/chromium] [--token TOKEN]

A Chromium without a window opens the front page and the page of the riskiest agent and says a sentence for each fault:
a request to another host, an error, a dialog, a policy that stops no script; a link, field or button that Tab does not reach
in reading order or that does not show the focus; text with a contrast below 4.5 or cut off; a page wider than 360 px; a name
that became markup; no language, title or heading, fields without labels, tables without header cells; a verdict that cannot
be given by keyboard, or without JavaScript. Give it an instance for tests with agents at risk: it gives two verdicts. For
hostile names, give that instance events of an agent whose id is markup (`<img src=x onerror=alert(1)>`); it says so when
there is none.

Package (pip): playwright; no browser of its own is fetched. Exit status: 0 all is well, 1 something is not, 2 used wrongly,
3 the package or Chromium is missing.
"""

import argparse
import html
import pathlib
import sys
import urllib.parse

SIZE = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}
CONTRAST = 4.5
OUTLINE_CONTRAST = 3.0
SCHEMES = ("dark", "light")
# What the pages are made of. Anything else came from a name.
TAGS = set("html head meta title style body header main h1 h2 a p ul li span strong table thead tbody tr th td dl dt dd time code "
           "wbr bdi form input button label".split())

# Colours as [red, green, blue, alpha], whatever notation they have; what lies behind an element; the contrast of two colours.
COLOURS = """
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null;
      layers.push(rgba(style.backgroundColor));
    }
    const ground = matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0, 1] : [255, 255, 255, 1];
    return layers.reduceRight((under, layer) => over(layer, under), ground);
  };
  const light = (colour) => { const [r, g, b] = colour.slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
"""
# All text that can be seen: text nodes, what fields hold, what the style sheet writes before an element.
TEXTS = "(least) => {" + COLOURS + """
  const found = { texts: 0, least: 99, faults: [], cut: [] };
  const look = (element, text, pseudo) => {
    if (!text.trim() || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return;
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) {
      if (getComputedStyle(at).clipPath !== "none") return;
      opacity *= Number(getComputedStyle(at).opacity);
    }
    const ground = behind(element);
    const ink = rgba(getComputedStyle(element, pseudo).color);
    found.texts += 1;
    const ratio = ground ? contrast(over([...ink.slice(0, 3), ink[3] * opacity], ground), ground) : 0;
    found.least = Math.min(found.least, ratio);
    if (ratio < least) found.faults.push(`${ratio.toFixed(2)} of "${text.trim().slice(0, 40)}"`);
  };
  const whole = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    const right = Math.max(...[...range.getClientRects()].map((box) => box.right));
    for (let at = node.parentElement; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.clipPath !== "none") return;
      const margin = parseFloat(style.overflowClipMargin) || 0;
      if (style.overflowX !== "visible" && right > at.getBoundingClientRect().right + margin + 1)
        found.cut.push(`"${node.data.trim().slice(0, 40)}" in ${at.tagName.toLowerCase()}.${at.className}`);
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    look(walker.currentNode.parentElement, walker.currentNode.data, null);
    whole(walker.currentNode);
  }
  for (const element of document.body.querySelectorAll("*")) {
    if (element.matches("input:not([type=hidden])")) look(element, element.value, null);
    const before = getComputedStyle(element, "::before").content;
    if (before.startsWith('"')) look(element, before, "::before");
  }
  return found;
}"""
# Marks what can be focused, in the order of the document, and gives it back.
FOCUSABLE = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
  .filter((element) => !element.disabled && element.type !== "hidden" && element.checkVisibility())
  .map((element, n) => { element.dataset.n = n; return `${element.tagName.toLowerCase()} "${
    (element.textContent || element.name).trim().slice(0, 40)}"`; })"""
FOCUSED = "() => {" + COLOURS + """
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const style = getComputedStyle(element), box = element.getClientRects()[0] ?? element.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const hit = document.elementFromPoint(x, y);
  const isAuto = style.outlineStyle === "auto", ground = behind(element.parentElement);
  return {
    n: Number(element.dataset.n ?? -1), top: box.top + scrollY, bottom: box.bottom + scrollY,
    isVisible: box.width > 0 && box.height > 0 && !!hit && (element.contains(hit) || hit.contains(element)),
    hasOutline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1 && element.matches(":focus-visible"),
    // The browser draws its own ring in two colours.
    contrast: isAuto || !ground ? 21 : contrast(over(rgba(style.outlineColor), ground), ground),
  };
}"""
MADE_OF = """() => [...document.querySelectorAll("*")].map((element) => [element.tagName.toLowerCase(),
  [...element.attributes].map((a) => [a.name, a.value])])"""
MEANING = """() => {
  const faults = [], all = (what) => [...document.querySelectorAll(what)];
  if (!document.documentElement.lang) faults.push("has no language (lang)");
  if (!document.title.trim()) faults.push("has no title");
  if (all("h1").length !== 1) faults.push(`has ${all("h1").length} headings h1`);
  if (all("main").length !== 1) faults.push(`has ${all("main").length} elements main`);
  for (const field of all("input:not([type=hidden]), select, textarea"))
    if (![...field.labels].some((label) => label.textContent.trim()) && !field.ariaLabel)
      faults.push(`has a field without a label: ${field.name}`);
  for (const button of all("button"))
    if (button.checkVisibility() && !button.textContent.trim() && !button.ariaLabel) faults.push("has a button without a text");
  for (const table of all("table")) {
    const heads = [...table.querySelectorAll("thead th")], row = table.querySelector("tbody tr");
    if (!heads.length || heads.some((head) => !head.scope || !head.textContent.trim()))
      faults.push(`has a table (${table.className}) without header cells, or with some that have no scope or text`);
    if (row && row.cells.length !== heads.length)
      faults.push(`has a table (${table.className}) with ${heads.length} header cells above ${row.cells.length}`);
  }
  return faults;
}"""
# Whether the policy stops what a name would do if it had become markup.
INJECTED = """async () => {
  const script = document.createElement("script");
  script.textContent = "window.injected = true";
  document.body.append(script);
  const holder = document.createElement("div");
  holder.innerHTML = '<img src="data:," onerror="window.injected = true">';
  document.body.append(holder);
  await new Promise((resolve) => setTimeout(resolve, 300));
  return window.injected === true;
}"""


class Check:
    """One run: the browser, what was found, what was looked at."""

    def __init__(self, browser, url, token):
        self.browser, self.url, self.token = browser, url, token
        self.host = urllib.parse.urlsplit(url).netloc
        self.faults, self.looked = [], []
        self.requests = 0
        self.is_listening = True

    def fault(self, text):
        if text not in self.faults:
            self.faults.append(text)

    def context(self, **options):
        if self.token:
            options["http_credentials"] = {"username": "check", "password": self.token, "origin": self.url}
        context = self.browser.new_context(**{"viewport": SIZE, **options})
        context.set_default_timeout(20_000)
        context.on("request", self.on_request)
        context.on("page", self.on_page)
        return context

    def on_request(self, request):
        self.requests += 1
        if self.is_listening and urllib.parse.urlsplit(request.url).netloc != self.host:
            self.fault(f"network: a page asks {request.url[:200]}")

    def on_page(self, page):
        page.on("dialog", lambda dialog: (self.fault(f"scripts: a dialog opened: {dialog.message[:100]}"), dialog.dismiss()))
        page.on("pageerror", lambda error: self.fault(f"scripts: {page.url} has an error: {error}"))
        page.on("console", lambda told: self.fault(f"console: {page.url}: {told.text[:300]}")
                if self.is_listening and told.type in ("error", "warning") else None)

    def open(self, page, path):
        """Opens a page that holds still, and looks at its policy."""
        joint = "&" if "?" in path else "?"
        return self.policy_of(page.goto(f"{self.url}{path}" + ("" if "refresh=off" in path else f"{joint}refresh=off")))

    def policy_of(self, answer):
        if answer.status != 200:
            self.fault(f"network: {answer.url} answers {answer.status}")
        policy = answer.header_value("content-security-policy") or ""
        parts = {words[0]: words[1:] for words in (part.split() for part in policy.split(";")) if words}
        if parts.get("default-src") != ["'none'"] or "script-src" in parts or "unsafe" in policy:
            self.fault(f"policy: {answer.url} allows more than it needs: {policy or 'there is none'}")
        return answer

    def tabs(self, page, name):
        """Tab reaches everything, in the order of the document, which is the order on the screen."""
        wanted = page.evaluate(FOCUSABLE)
        above = None
        for n, what in enumerate(wanted):
            page.keyboard.press("Tab")
            at = page.evaluate(FOCUSED)
            if at is None or at["n"] != n:
                self.fault(f"keyboard: {name}: Tab {n + 1} does not lead to {what}")
                return
            if not at["isVisible"]:
                self.fault(f"keyboard: {name}: {what} has the focus and cannot be seen")
            if not at["hasOutline"] or at["contrast"] < OUTLINE_CONTRAST:
                self.fault(f"keyboard: {name}: {what} does not show that it has the focus")
            if above and at["bottom"] <= above["top"]:
                self.fault(f"keyboard: {name}: {what} stands above what Tab reaches before it")
            above = at
        self.looked.append(f"{name}: {len(wanted)} stops of Tab")

    def tab_to(self, page, selector):
        for _ in range(2000):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return True
            if page.evaluate("() => document.activeElement === document.body"):
                break
        self.fault(f"keyboard: {page.url}: Tab never leads to {selector}")
        return False

    def colours(self, path, name, screens):
        for scheme in SCHEMES:
            for size, width in ((SIZE, ""), (PHONE, "-360")):
                context = self.context(color_scheme=scheme, viewport=size)
                page = context.new_page()
                self.open(page, path)
                found = page.evaluate(TEXTS, CONTRAST)
                for fault in found["faults"]:
                    self.fault(f"contrast: {name}, {scheme}: {fault}")
                for cut in found["cut"]:
                    self.fault(f"width: {name}, {size['width']} px: the end of {cut} is cut off")
                self.looked.append(f"{name}, {scheme}, {size['width']} px: {found['texts']} texts, "
                                   f"contrast {found['least']:.2f} or more")
                wide = page.evaluate("() => document.documentElement.scrollWidth")
                if wide > size["width"]:
                    self.fault(f"width: {name} is {wide} px wide in a window of {size['width']} px")
                if screens:
                    page.screenshot(path=screens / f"{name}-{scheme}{width}.png", full_page=True)
                context.close()

    def markup(self, page, answer, name, names):
        """Nothing that was not written by the program is an element or an attribute; names are text."""
        for tag, attributes in page.evaluate(MADE_OF):
            if tag not in TAGS:
                self.fault(f"markup: {name} has an element {tag}")
            for attribute, value in attributes:
                is_script = value.strip().lower().startswith(("javascript:", "data:", "vbscript:"))
                if attribute.startswith("on") or (attribute in ("href", "src", "action", "formaction") and is_script):
                    self.fault(f"markup: {name}: {tag} has {attribute}={value[:80]}")
        source, shown = answer.text(), page.evaluate("() => document.body.textContent")
        for hostile in names:
            if hostile not in shown:
                self.fault(f"markup: {name} does not show {hostile} as text")
            if any(mark in hostile for mark in "<>") and (hostile in source or html.escape(hostile) not in source):
                self.fault(f"markup: {name} holds {hostile} without escaping it")

    def hostile(self, page):
        """Agents whose names are markup, on the front page and each on its own."""
        answer = self.open(page, "/")
        links = page.eval_on_selector_all("td.name a", "(all) => all.map((a) => [a.textContent, a.getAttribute('href')])")
        # Those that are shown as they are: not cut, nothing written out.
        hostile = [(text, path) for text, path in dict(links).items()
                   if "<" in text and "\\u{" not in text and not text.endswith("…")]
        self.markup(page, answer, "front", [text for text, _ in hostile])
        for text, path in hostile[:10]:
            query = urllib.parse.urlsplit(path)
            asked = page.context.request.get(f"{self.url}/v1{query.path}/risk", headers=self.bearer(), params={
                key: value for key, value in urllib.parse.parse_qsl(query.query) if key == "tenant"})
            kind = asked.json().get("agent_type", "") if asked.ok else ""
            answer = self.open(page, path)
            self.markup(page, answer, f"page of {text}", [text, kind])
        self.looked.append(f"{len(hostile)} agents with markup in their names" if hostile
                           else "no agent on the front page has markup in its name: hostile names were NOT checked")

    def bearer(self):
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def level(self, page):
        return page.locator("dl dd.level").first.text_content().split()[0]

    def verdict(self, page, path, by_keyboard):
        """Gives the verdict that changes the level, and looks whether the page shows it."""
        self.open(page, path)
        before = self.level(page)
        value, wanted = ("dismiss", "none") if before == "high" else ("confirm_compromised", "high")
        button = f"button[value={value}]"
        how = "by keyboard" if by_keyboard else "without JavaScript"
        if by_keyboard:
            if not self.tab_to(page, "input[name=by]"):
                return
            page.keyboard.press("ControlOrMeta+a")
            page.keyboard.type("check_page")
            page.keyboard.press("Tab")
            page.keyboard.type("a test of the page")
            if not self.tab_to(page, button):
                return
            with page.expect_navigation():
                page.keyboard.press("Enter")
        else:
            page.fill("input[name=by]", "check_page")
            page.fill("input[name=reason]", "a test of the page")
            with page.expect_navigation():
                page.click(button)
        if "/verdict" in page.url:
            self.fault(f"verdict: {how}: {value} is answered with {page.locator('body').text_content()[:300]}")
            return
        # Another instance may judge the agent: its level is read from Kafka.
        for _ in range(10):
            after = self.level(page)
            rows = page.locator("table.alerts tr", has=page.locator("td.state", has_text="level"))
            told = rows.first.locator("td.risk").text_content().strip() if rows.count() else "nothing"
            if after == told == wanted:
                break
            page.wait_for_timeout(1000)
            self.open(page, path)
        else:
            self.fault(f"verdict: {how}: after {value} the page says {after}, its timeline {told}")
        self.looked.append(f"verdict {how}: {value}, level {before} then {after}")


def look(check, screens):
    context = check.context()
    page = context.new_page()
    check.policy_of(page.goto(f"{check.url}/"))
    # As somebody with a keyboard does it: first the page is told to hold still.
    if check.tab_to(page, 'header a[href*="refresh=off"]'):
        with page.expect_navigation():
            page.keyboard.press("Enter")
    check.open(page, "/")
    riskiest = page.locator("table.agents td.name a").first
    if not riskiest.count():
        print("page: no agent is at risk; give the instance events with something to tell")
        return 2
    path = riskiest.get_attribute("href")
    check.tabs(page, "front")
    check.open(page, path)
    check.tabs(page, "agent")
    check.verdict(page, path, by_keyboard=True)
    for where, name in (("/", "front"), (path, "agent")):
        check.open(page, where)
        for fault in page.evaluate(MEANING):
            check.fault(f"meaning: {name} {fault}")
        check.colours(where, name, screens)
    check.hostile(page)
    context.close()

    # Without scripts: from the front page to the agent, and a verdict.
    context = check.context(java_script_enabled=False)
    page = context.new_page()
    check.open(page, "/")
    page.locator(f"table.agents td.name a[href={quoted(path)}]").click()
    page.wait_for_load_state()
    if not page.locator("h2").first.text_content() or not page.locator("table.alerts").count():
        check.fault("without JavaScript: the page of an agent has no name or no timeline")
    check.verdict(page, path, by_keyboard=False)
    context.close()

    # What would happen if a name did become markup. What it tells on the console is what is wanted here.
    context = check.context()
    page = context.new_page()
    page.goto(f"{check.url}/?refresh=off")
    check.is_listening = False
    if page.evaluate(INJECTED):
        check.fault("policy: a script that is put into the page runs")
    context.close()
    return 0


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--screens", type=pathlib.Path, metavar="FOLDER", help="where pictures of the pages are written")
    parser.add_argument("--chromium", default="/usr/bin/chromium", metavar="PATH")
    parser.add_argument("--token", help="bearer token, of role analyst or admin")
    arguments = parser.parse_args()
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError as missing:
        print(f"page: the package {missing.name} is not here (pip install playwright)")
        return 3
    if not pathlib.Path(arguments.chromium).exists():
        print(f"page: {arguments.chromium} is not here; say with --chromium where Chromium is")
        return 3
    if arguments.screens:
        arguments.screens.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        check = Check(browser, arguments.url.rstrip("/"), arguments.token)
        try:
            status = look(check, arguments.screens)
        except Error as error:
            check.fault(f"page: {str(error).splitlines()[0]}")
            status = 1
        version = browser.version
        browser.close()
    for fact in check.looked:
        print(fact)
    for fault in check.faults:
        print(f"FAULT {fault}")
    print(f"Chromium {version}, {check.requests} requests, {len(check.faults)} faults")
    return status or (1 if check.faults else 0)


if __name__ == "__main__":
    sys.exit(main())
