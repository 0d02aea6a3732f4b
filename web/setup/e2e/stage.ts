// One test's stage: a phone's screen, a box beside it, and a watch over what the page does.

import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from "playwright-core";
import { expect } from "vitest";
import { Radio } from "./chromium.ts";
import { Home } from "./home.ts";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const PATIENCE_MS = 20_000;
// Set to a directory to look at what the tests saw.
const PICTURES = process.env["COFFER_SCREENSHOTS"];

interface Violation {
  id: string;
  help: string;
  nodes: { html: string; failureSummary?: string }[];
}

export class Stage {
  readonly home: Home;
  readonly page: Page;
  readonly radio: Radio;
  readonly #context: BrowserContext;
  readonly #complaints: string[] = [];
  readonly #elsewhere: string[] = [];
  readonly #url: string;

  private constructor(home: Home, context: BrowserContext, page: Page, radio: Radio, url: string) {
    this.home = home;
    this.page = page;
    this.radio = radio;
    this.#context = context;
    this.#url = url;
    page.on("pageerror", (error) => this.#complaints.push(String(error)));
    page.on("console", (message) => message.type() === "error" && this.#complaints.push(message.text()));
    context.on("request", (request) => request.url().startsWith(url) || this.#elsewhere.push(request.url()));
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions & { fragment?: string } = {}): Promise<Stage> {
    const { fragment = "", ...screen } = options;
    const phone = { viewport: { width: 360, height: 740 }, timezoneId: "Europe/Berlin", locale: "en-GB", ...screen };
    const context = await browser.newContext(phone);
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const home = new Home();
    const stage = new Stage(home, context, page, await Radio.start(browser, page, home), url);
    await page.goto(url + fragment);
    return stage;
  }

  // Also checks what holds for every test: nothing was refused by the page's own policy, and nobody else was asked.
  async close(): Promise<void> {
    // In this order: Chromium crashes when the radio is taken away from a page that is waiting for it.
    await this.#context.close();
    await this.radio.stop();
    this.home.box.stop();
    expect(this.#elsewhere).toEqual([]);
    expect(this.#complaints).toEqual([]);
    expect(this.radio.tooLong).toBe(0);
  }

  async reload(): Promise<void> {
    await this.page.goto(this.#url);
    await this.radio.powerOn();
  }

  // What is on the screen, for who looks after a failure.
  shown(): Promise<string> {
    return this.page.locator("body").innerText();
  }

  // Waits for a screen, whose heading has the focus. The first one is where a reader begins anyway.
  async sees(title: string, focused = true): Promise<void> {
    const heading = this.page.getByRole("heading", { level: 1, name: title });
    await heading.waitFor();
    if (focused) expect(await heading.evaluate((element) => element === document.activeElement)).toBe(true);
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole("button", { name, exact: typeof name === "string" });
  }

  field(name: string): Locator {
    return this.page.getByLabel(name, { exact: true });
  }

  async failure(code: string): Promise<string> {
    const panel = this.page.locator(`.failure[data-code="${code}"]`);
    await panel.waitFor();
    return panel.innerText();
  }

  // What axe finds, and what does not fit on the screen.
  async isAccessible(name: string): Promise<void> {
    if (PICTURES !== undefined) {
      await mkdir(PICTURES, { recursive: true });
      await this.page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true });
    }
    // The page's own policy lets no script in, so this goes through the developer tools.
    await this.page.evaluate(await (await import("node:fs/promises")).readFile(AXE, "utf8"));
    const found = await this.page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
      return (await axe.run()).violations;
    });
    expect(found.map(({ id, help, nodes }) => [name, id, help, nodes.map((node) => node.html)])).toEqual([]);
    const overflow = await this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(overflow, `${name} is wider than the screen`).toBe(0);
  }
}
