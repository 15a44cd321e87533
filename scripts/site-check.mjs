// Opens the pages of many runs in headless Chromium: published, as files, and from a server: `make report-check`.
// Usage: node site-check.mjs SITE-FOLDER SERVER-ADDRESS SCREENSHOTS-FOLDER CHROMIUM. playwright-core is found from the current directory.
import { createRequire } from "node:module";
import { readdirSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.cwd(), "index.js"));
const { chromium } = require("playwright-core");
const [site, server, shots, executablePath] = process.argv.slice(2);
let checks = 0;
const failures = [];
const check = (page, what, holds) => { checks++; if (!holds) { failures.push(`${page}: ${what}`); console.log(`FAILED ${page}: ${what}`) } };

const WIDE = { width: 1280, height: 900 }, NARROW = { width: 390, height: 800 };
const kind = (file) => file.replace(/-.*/, "").replace(".html", "");
// One page of each kind.
const files = readdirSync(site).filter((name) => name.endsWith(".html"));
const some = [...new Map(files.map((file) => [kind(file), file])).values()];
const published = (file) => pathToFileURL(resolve(site, file)).href;

async function open(browser, name, url, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (message) => check(name, `the console says ${message.text()}`, message.type() !== "error" && message.type() !== "warning"));
  page.on("pageerror", (error) => check(name, `a script fails: ${error}`, false));
  page.on("request", (request) => check(name, `it asks for ${request.url()}`, request.url().startsWith(new URL(".", url).href)));
  await page.goto(url);
  return page;
}

async function keyboard(page, name) {
  const wanted = await page.evaluate(() => {
    const reachable = [...document.querySelectorAll("button, a[href], select, input:not([type=hidden]), [tabindex='0']")];
    return reachable.filter((element) => element.checkVisibility()).map((element, at) => (element.dataset.at_check = at)).length;
  });
  const reached = new Set();
  // A date has a stop for each of its parts.
  for (let presses = 0; presses < wanted + 40; presses++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => document.activeElement.dataset.at_check);
    if (at !== undefined) reached.add(at);
  }
  check(name, `${reached.size} of ${wanted} controls are reached with Tab`, reached.size === wanted);
}

async function fits(page, name) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(name, `it is wider than the screen by ${over}`, over <= 0);
}

async function looks(browser, file) {
  const backs = [];
  for (const colorScheme of ["light", "dark"]) {
    for (const [size, viewport] of [["wide", WIDE], ["narrow", NARROW]]) {
      const name = `${file} ${colorScheme} ${size}`;
      const page = await open(browser, name, published(file), { viewport, colorScheme });
      check(name, "a heading is visible", await page.locator("h1").isVisible());
      await fits(page, name);
      await page.screenshot({ path: join(shots, `site-${kind(file)}-${colorScheme}-${size}.png`), fullPage: size === "wide" });
      backs.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
      if (size === "wide" && colorScheme === "light") {
        await keyboard(page, name);
        await page.focus("#theme");
        for (let presses = 0; presses < 2; presses++) await page.keyboard.press("Enter");
        check(name, "the switch makes it dark", await page.evaluate(() => document.documentElement.dataset.theme) === "dark");
      }
      await page.context().close();
    }
  }
  check(file, `light and dark differ: ${backs}`, new Set(backs).size === 2);
  const page = await open(browser, `${file} without scripts`, published(file), { javaScriptEnabled: false });
  const text = await page.locator("main").innerText();
  check(file, "it has text without scripts", text.length > 40);
  await page.context().close();
}

const visible = (page) => page.locator("table.list tbody tr:visible").count();

// In a published folder a script narrows the list, and the address keeps how.
async function narrowed(browser) {
  const name = "runs.html narrowed", page = await open(browser, name, published("runs.html"), { viewport: WIDE });
  const all = await visible(page);
  await page.selectOption("select[name=verdict]", "invalid");
  await page.click("form button");
  await page.waitForFunction(() => location.hash === "#verdict=invalid");
  const left = await visible(page);
  check(name, `${left} of ${all} are shown`, left > 0 && left < all);
  check(name, "it says how many", (await page.locator("#left").innerText()).startsWith(`${left} of ${all} are like this.`));
  await page.reload();
  check(name, "the address keeps it", await visible(page) === left);
  await page.locator("#left a").click();
  await page.waitForFunction(() => document.getElementById("left").hidden);
  check(name, "all are shown again", await visible(page) === all);
  await page.locator("#shown a", { hasText: "invalid" }).click();
  await page.waitForFunction(() => !document.getElementById("left").hidden);
  check(name, "a verdict in the sentence narrows, too", await visible(page) === left);
  await page.context().close();
}

// From a server, with its policy on scripts, a form asks for another page.
async function served(browser) {
  const name = "server", page = await open(browser, name, server, { viewport: WIDE });
  await page.click("nav >> text=Runs");
  const all = await visible(page);
  await page.selectOption("select[name=verdict]", "invalid");
  await page.click("form button");
  await page.waitForURL(/verdict=invalid/);
  const left = await visible(page);
  check(name, `${left} of ${all} are shown`, left > 0 && left < all);
  await page.locator("table.list a").first().click();
  await page.click("text=Report of this run");
  check(name, "the report of a run opens", (await page.content()).length > 0 && page.url().endsWith("/report.html"));
  await page.goBack();
  await page.locator("text=With the last valid run").or(page.locator("text=With the run before it")).first().click();
  check(name, "differences are marked", await page.locator("tr.differs").count() > 0);
  await page.click("nav >> text=Trends");
  check(name, "trends are drawn", await page.locator("svg.plot").count() > 2);
  await page.click("#theme");
  check(name, "the switch works under the policy", await page.evaluate(() => document.documentElement.dataset.theme) === "light");
  await page.context().close();
}

mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
for (const file of some) await looks(browser, file);
await narrowed(browser);
await served(browser);
await browser.close();
console.log(`site-check: ${some.length} kinds of pages, ${checks} checks, ${failures.length} failed`);
process.exit(failures.length ? 1 : 0);
