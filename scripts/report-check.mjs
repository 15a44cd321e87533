// Opens pages of runs in headless Chromium, as a person would: `make report-check`.
// Usage: node report-check.mjs PAGES-FOLDER SCREENSHOTS-FOLDER CHROMIUM. playwright-core is found from the current directory.
import { createRequire } from "node:module";
import { readdirSync, existsSync, mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.cwd(), "index.js"));
const { chromium } = require("playwright-core");
const [pages, shots, executablePath] = process.argv.slice(2);
const HEADINGS = ["Verdict", "What ran", "What failed, when and why", "What was disturbed", "Command to repeat"];
const MEGABYTES_MAX = 20, USABLE_MS = 3000;
let checks = 0;
const failures = [];
const check = (page, what, holds) => { checks++; if (!holds) { failures.push(`${page}: ${what}`); console.log(`FAILED ${page}: ${what}`) } };

async function open(browser, name, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (message) => check(name, `the console says ${message.text()}`, message.type() !== "error" && message.type() !== "warning"));
  page.on("pageerror", (error) => check(name, `a script fails: ${error}`, false));
  page.on("request", (request) => check(name, `it asks for ${request.url()}`, request.url().startsWith("file:")));
  const begun = Date.now(), session = await context.newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  await page.goto(pathToFileURL(resolve(pages, name, "report.html")).href);
  await page.waitForFunction(() => document.documentElement.dataset.ready === "yes", null, { timeout: 60000 });
  const { metrics } = await session.send("Performance.getMetrics");
  // Of the processor's time, so that a busy machine says the same; and that of the clock, to be printed.
  page.usableAfter = Math.round(1000 * metrics.find((metric) => metric.name === "TaskDuration").value);
  page.clock = Date.now() - begun;
  return page;
}

const shown = (page) => page.locator("#shown").textContent();
async function changes(page, name, what, act) {
  const before = await shown(page);
  await act();
  await page.waitForFunction((before) => document.getElementById("shown").textContent !== before, before, { timeout: 10000 })
    .then(() => check(name, what, true), () => check(name, `${what} changes nothing`, false));
}
const inks = (page) => page.evaluate(() => {
  const canvas = document.getElementById("canvas"), pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let at = 0; at < pixels.length; at += 4 * 7) seen.add(pixels[at] << 16 | pixels[at + 1] << 8 | pixels[at + 2]);
  return seen.size;
});

async function content(page, name) {
  const headings = await page.locator(".headings h2").allTextContents();
  check(name, `the five headings: ${headings}`, HEADINGS.every((heading) => headings.includes(heading)));
  for (const id of ["verdict", "ran", "failed", "disturbed", "repeat", "time", "canvas", "operations", "errors", "files", "theme"]) {
    check(name, `#${id} is visible`, await page.locator(`#${id}`).isVisible());
  }
  check(name, "the timeline is drawn", await inks(page) > 4);
  const links = await page.locator("a[href]").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
  for (const link of links) {
    const target = link.startsWith("#") ? await page.locator(link).count() > 0 : existsSync(join(pages, name, decodeURI(link)));
    check(name, `the link ${link} leads somewhere`, target);
  }
}

async function pointer(page, name) {
  await changes(page, name, "+", () => page.click("#closer"));
  await changes(page, name, "later", () => page.click("#later"));
  await changes(page, name, "earlier", () => page.click("#earlier"));
  await changes(page, name, "−", () => page.click("#wider"));
  await changes(page, name, "zoom for the whole run", async () => { await page.click("#closer"); await page.click("#closer") });
  await changes(page, name, "whole run", () => page.click("#all"));
  await page.locator("#canvas").scrollIntoViewIfNeeded();
  const box = await page.locator("#canvas").boundingBox();
  await changes(page, name, "drag", async () => {
    await page.mouse.move(box.x + box.width * .4, box.y + 60);
    await page.mouse.down(); await page.mouse.move(box.x + box.width * .6, box.y + 60, { steps: 4 }); await page.mouse.up();
  });
  check(name, "the pointer shows figures", await page.locator("#tip").isVisible() && (await page.locator("#tip").textContent()).includes("ok/s"));
  await changes(page, name, "double click", () => page.dblclick("#canvas", { position: { x: box.width / 2, y: 60 } }));
  const kind = page.locator("#legend button").first();
  if (await kind.count()) {
    await kind.click();
    check(name, "a kind of fault can be hidden", await kind.getAttribute("aria-pressed") === "false");
    await kind.click();
  }
  for (const summary of await page.locator("summary").all()) {
    const details = summary.locator("xpath=..");
    const before = await details.evaluate((element) => element.open);
    await summary.click();
    check(name, "a part folds", await details.evaluate((element) => element.open) !== before);
  }
  if (await page.locator("#to-violation").count()) {
    await changes(page, name, "first violation", () => page.click("#to-violation"));
    await page.locator("#time").screenshot({ path: join(shots, `${name}-violation.png`) });
  }
}

async function keyboard(page, name) {
  const wanted = await page.evaluate(() => {
    const reachable = [...document.querySelectorAll("button, a[href], summary, canvas, pre[tabindex='0']")];
    return reachable.filter((element) => element.checkVisibility()).map((element, at) => (element.dataset.at_check = at)).length;
  });
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0) });
  const reached = new Set();
  for (let presses = 0; presses < wanted + 40; presses++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => document.activeElement.dataset.at_check);
    if (at !== undefined) reached.add(at);
  }
  check(name, `${reached.size} of ${wanted} controls are reached with Tab`, reached.size === wanted);
  await page.focus("#canvas");
  for (const key of ["+", "ArrowRight", "ArrowLeft", "-", "+", "Home"]) await changes(page, name, `the key ${key}`, () => page.keyboard.press(key));
  await page.focus("#theme");
  await page.keyboard.press("Enter");
  check(name, "the theme changes with the keyboard", await page.evaluate(() => document.documentElement.dataset.theme) === "light");
}

async function themes(page, name) {
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  // The system is dark; then the switch goes from the system's to light, to dark, and back.
  const seen = [await back()];
  for (let clicks = 0; clicks < 2; clicks++) { await page.click("#theme"); seen.push(await back()) }
  await page.click("#theme");
  await page.emulateMedia({ colorScheme: "light" });
  seen.push(await back());
  const [dark, light] = seen;
  check(name, `both themes, by the system and by the switch: ${seen}`, dark !== light && seen[2] === dark && seen[3] === light);
}

async function contrast(page, name) {
  const low = await page.evaluate(() => {
    const rgb = (text) => text.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4).reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
    const found = [];
    for (const element of document.querySelectorAll("main *, header *")) {
      if (element.closest("svg, canvas, noscript, script") || ![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) || !element.checkVisibility()) continue;
      let behind = element;
      while (behind && rgb(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
      const a = light(rgb(getComputedStyle(element).color)), b = light(rgb(getComputedStyle(behind || document.body).backgroundColor));
      const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
      if (ratio < 4.5) found.push(`${element.tagName} "${element.textContent.slice(0, 20)}" ${ratio.toFixed(1)}`);
    }
    return found.slice(0, 5);
  });
  check(name, `text has a contrast of 4.5: ${low.join("; ")}`, low.length === 0);
}

mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--force-color-profile=srgb"] });
for (const name of readdirSync(pages).filter((name) => existsSync(join(pages, name, "report.html"))).sort()) {
  const size = statSync(join(pages, name, "report.html")).size / 1e6;
  check(name, `${size.toFixed(1)} MB are at most ${MEGABYTES_MAX}`, size <= MEGABYTES_MAX);
  let best = Infinity, clock = Infinity;
  for (const theme of ["light", "dark"]) for (const [form, viewport] of [["wide", { width: 1280, height: 900 }], ["narrow", { width: 360, height: 740 }]]) {
    const page = await open(browser, name, { colorScheme: theme, viewport, deviceScaleFactor: form === "narrow" ? 2 : 1 });
    best = Math.min(best, page.usableAfter);
    clock = Math.min(clock, page.clock);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check(name, `${form}, ${theme}: it is ${overflow} px too wide`, overflow <= 0);
    await contrast(page, `${name} ${theme}`);
    await page.screenshot({ path: join(shots, `${name}-${form}-${theme}.png`) });
    await page.screenshot({ path: join(shots, `${name}-${form}-${theme}-full.png`), fullPage: true });
    if (form === "wide" && theme === "light") { await content(page, name); await pointer(page, name); await keyboard(page, name) }
    if (form === "wide" && theme === "dark") await themes(page, name);
    await page.context().close();
  }
  check(name, `it is usable after ${best} ms of CPU time, at most ${USABLE_MS}`, best <= USABLE_MS);
  console.log(`${name}: ${size.toFixed(1)} MB, usable after ${best} ms of CPU time, ${clock} ms by the clock`);
}
const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
await plain.goto(pathToFileURL(resolve(pages, "invalid", "report.html")).href);
for (const heading of HEADINGS) check("invalid", `without scripts: ${heading}`, (await plain.locator("body").innerText()).toLowerCase().includes(heading.toLowerCase()));
check("invalid", "without scripts there is a picture of the run", await plain.locator("#time svg").isVisible());
await browser.close();
console.log(`report-check: ${checks} checks, ${failures.length} failed; the screenshots are in ${shots}`);
process.exit(failures.length ? 1 : 0);
