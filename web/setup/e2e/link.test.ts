// A one-time link, made by a real client at a real box, opened in a browser by the page that the box serves.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import axe from "axe-core";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program } from "./box.ts";
import { launch } from "./chromium.ts";

const ACCOUNT = "amber canoe thirteen";
const PASSWORD = "purple lantern ocean";

let browser: Browser;
let box: ChildProcess;
let url: string;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "coffer-link-"));
  mkdirSync(join(directory, "run"), { mode: 0o700 });
  box = spawn(program("cofferd"), ["serve", "--listen", "127.0.0.1:0", "--state", join(directory, "state")], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  url = await address(box);
  const code = readFileSync(join(directory, "state/SETUP-CODE.txt"), "utf8").split("\n")[0];
  const creation = { setup_code: code, master_password: "violet kettle orbit", admin: { username: "ada_", password: ACCOUNT } };
  const made = await fetch(`${url}/api/v1/vault`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(creation),
  });
  expect(made.status).toBe(201);
  writeFileSync(join(directory, "account"), ACCOUNT);
  const keys = ["--account-password-file", join(directory, "account"), "--codes-file", join(directory, "codes")];
  coffer(["login", url, "--name", "ada_", "--first-time", "--memory", "64", "--password-file", "-", ...keys], PASSWORD);
  coffer(["vault", "create", "Home"]);
  const fields = ["--field", "user=<b>ada</b>", "--secret", "password"];
  coffer(["item", "create", "Home", "--title", "Bank & Söhne", ...fields], "s3cret <i>");
  browser = await launch();
});

afterAll(async () => {
  await browser.close();
  coffer(["lock"]);
  const ended = new Promise((resolve) => box.once("exit", resolve));
  box.kill();
  await ended;
  rmSync(directory, { recursive: true });
});

async function address(daemon: ChildProcess): Promise<string> {
  if (!daemon.stdout) throw new Error("no output");
  for await (const line of createInterface(daemon.stdout)) {
    const found = /(http:\/\/[^/]+)\/docs/.exec(line)?.[1];
    if (found) return found;
  }
  throw new Error("the box did not start");
}

function coffer(words: string[], input = ""): string {
  const env = { COFFER_HOME: join(directory, "home"), XDG_RUNTIME_DIR: join(directory, "run") };
  return execFileSync(program("coffer"), words, { input: `${input}\n`, env, encoding: "utf8" });
}

function link(...more: string[]): string {
  return (JSON.parse(coffer(["link", "create", "Home", "Bank & Söhne", "--json", ...more])) as { link: string }).link;
}

test("a link shows what is behind it once, as text, and leaves the history", async () => {
  const page = await browser.newPage({ viewport: { width: 360, height: 740 } });
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url() + (request.postData() ?? "")));
  const address = link();
  const secret = address.split("#")[1] ?? "";
  await page.goto(address);
  const button = page.getByRole("button", { name: "Open the secret" });
  await button.waitFor();
  // Whoever only looks, as programs do that show previews, uses nothing up.
  await page.reload();
  await page.evaluate(axe.source);
  const faults = async () => (await page.evaluate("axe.run()") as axe.AxeResults).violations.map((violation) => violation.id);
  expect(await faults()).toEqual([]);
  await button.press("Enter");
  await page.getByRole("heading", { name: "Bank & Söhne" }).waitFor();
  expect(await page.getByText("<b>ada</b>").count()).toBe(1);
  expect(await page.getByText("s3cret <i>").count()).toBe(0);
  await page.getByRole("button", { name: "Show password" }).click();
  expect(await page.getByText("s3cret <i>").count()).toBe(1);
  expect(await page.getByText("The box has nothing of it any more").count()).toBe(1);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  expect(await faults()).toEqual([]);
  expect(page.url()).not.toContain("#");
  expect(secret).toHaveLength(43);
  expect(asked.filter((text) => text.includes("/open"))).toHaveLength(1);
  expect(asked.some((text) => text.replaceAll(`#${secret}`, "").includes(secret))).toBe(false);
  await page.goto(address);
  await button.click();
  await page.getByRole("heading", { name: "This link is not available" }).waitFor();
  await page.close();
});

test("a link that is not whole says so and uses nothing up", async () => {
  const page = await browser.newPage();
  const address = link();
  await page.goto(address.slice(0, -1));
  await page.getByRole("heading", { name: "The link is not whole" }).waitFor();
  const at = address.indexOf("#") + 5;
  const changed = address.slice(0, at) + (address[at] === "A" ? "B" : "A") + address.slice(at + 1);
  const other = await browser.newPage();
  await other.goto(changed);
  await other.getByRole("button", { name: "Open the secret" }).click();
  await other.getByRole("heading", { name: "This link is not available" }).waitFor();
  const last = await browser.newPage();
  await last.goto(address);
  await last.getByRole("button", { name: "Open the secret" }).click();
  await last.getByRole("heading", { name: "Bank & Söhne" }).waitFor();
  await Promise.all([page, other, last].map((each) => each.close()));
});
