// The way through: which screen follows which, for a new box, for one whose set-up was interrupted, and for an owned one.

import { bluetoothState } from "../bluetooth.ts";
import type { Entrance } from "../box.ts";
import { guessCountry } from "../country.ts";
import { forget } from "../keys.ts";
import type { Client } from "../protocol/client.ts";
import type { Code } from "../protocol/code.ts";
import { Refused } from "../protocol/failure.ts";
import type { App } from "./app.ts";
import { failurePanel } from "./parts.ts";
import { codeScreen } from "./screens/code.ts";
import { doneScreen } from "./screens/done.ts";
import { findScreen, finishedScreen, lostScreen, notReadyScreen, ownedScreen, unsupportedScreen, updatePageScreen } from "./screens/find.ts";
import { overviewScreen } from "./screens/overview.ts";
import { erasedScreen, inviteScreen, phonesScreen, resetScreen, unlockScreen } from "./screens/owned.ts";
import { type Claimed, accountScreen, enrollScreen, masterScreen, recoveryKeyScreen } from "./screens/owner.ts";
import { reachScreen } from "./screens/reach.ts";
import { wifiScreen } from "./screens/wifi.ts";

// The box ends a session after two minutes of silence, and a good password takes longer to think of. But a phone that
// was put away with this page open shall not keep others out for ever.
const ASK_EVERY_MS = 45_000;
const PATIENCE_MS = 20 * 60_000;

export async function begin(app: App): Promise<void> {
  const state = await bluetoothState();
  if (state === "unsupported") return app.show(unsupportedScreen());
  app.show(findScreen(app, { off: state === "off", pick: () => pick(app) }));
}

async function pick(app: App): Promise<boolean> {
  if (!(await app.choose())) return false;
  try {
    await look(app);
  } catch (error) {
    // Free for others, while this one thinks.
    app.forgetBox();
    throw error;
  }
  return true;
}

// `refused`: the box does not know our key. `waiting`: the screen of a box that is not ready is there already.
async function look(app: App, { refused = false, waiting = false } = {}): Promise<void> {
  const entrance = await app.theBox().look(refused);
  switch (entrance.way) {
    case "update_page":
      return app.show(updatePageScreen(app));
    case "not_ready":
      return waiting ? undefined : app.show(notReadyScreen(app, () => look(app, { waiting: true })));
    case "owned":
      return app.show(ownedScreen(app, () => look(app)));
    case "code":
      return app.show(codeScreen(app, (code) => enterByCode(app, code)));
    case "key":
      return enterByKey(app, entrance);
  }
}

async function enterByCode(app: App, code: Code): Promise<void> {
  const client = await app.theBox().enterByCode(code);
  app.code = code;
  await entered(app, client);
}

async function enterByKey(app: App, entrance: Extract<Entrance, { way: "key" }>): Promise<void> {
  try {
    await entered(app, await app.theBox().enterByKey(entrance.known));
  } catch (error) {
    // This phone was removed, or the box was erased: what the box says of itself decides how to go on.
    if (error instanceof Refused && error.failure.code === "not_enrolled") return look(app, { refused: true });
    throw error;
  }
}

// After a broken connection: in by the same way, and on with what is missing.
async function reconnect(app: App): Promise<void> {
  const entrance = await app.theBox().look();
  if (entrance.way === "key") return enterByKey(app, entrance);
  if (entrance.way === "code" && app.code !== undefined) return enterByCode(app, app.code);
  return look(app);
}

async function entered(app: App, client: Client): Promise<void> {
  app.client = client;
  const stopAsking = keepAwake(client);
  void client.session.ended.then((reason) => {
    stopAsking();
    if (app.client !== client) return;
    app.client = undefined;
    app.show(lostScreen(app, failurePanel(reason), () => reconnect(app)));
  });
  await unlessRefused(client.setClock(new Date()));
  const country = client.session.welcome.country ?? (await suggestCountry(client));
  const { claimed, enrolled, access } = client.session.welcome;
  if (claimed && !enrolled) return app.show(enrollScreen(app, () => overview(app)));
  if (claimed || access !== "setup") return overview(app);
  setUpWifi(app, country);
}

// Asks the box for nothing now and then, as long as somebody uses the page. Returns how to stop.
function keepAwake(client: Client): () => void {
  let touched = performance.now();
  const touch = () => (touched = performance.now());
  const events = ["pointerdown", "keydown"] as const;
  for (const event of events) document.addEventListener(event, touch);
  const timer = setInterval(() => {
    if (performance.now() - touched < PATIENCE_MS) void client.session.probe();
  }, ASK_EVERY_MS);
  return () => {
    clearInterval(timer);
    for (const event of events) document.removeEventListener(event, touch);
  };
}

// A guess that a person can correct on the next screen; radios are silent without any.
async function suggestCountry(client: Client): Promise<string | undefined> {
  const guess = guessCountry(Intl.DateTimeFormat().resolvedOptions().timeZone, navigator.language);
  if (guess !== undefined) await unlessRefused(client.setCountry(guess));
  return guess;
}

// For what helps and is not needed: a later step says so if it was needed after all.
async function unlessRefused(request: Promise<void>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
}

function setUpWifi(app: App, country: string | undefined): void {
  app.show(wifiScreen(app, { country, done: () => setUpReach(app, country) }));
}

function setUpReach(app: App, country: string | undefined): void {
  app.show(reachScreen(app, { done: () => setUpOwner(app, country), back: () => setUpWifi(app, country) }));
}

function setUpOwner(app: App, country: string | undefined): void {
  const chooseMaster = () =>
    app.show(masterScreen({ chosen: (master) => nameAccount(master), back: () => setUpReach(app, country) }));
  const nameAccount = (master: string) =>
    app.show(accountScreen(app, { master, claimed: (claimed) => keepRecoveryKey(app, claimed), back: chooseMaster }));
  chooseMaster();
}

function keepRecoveryKey(app: App, claimed: Claimed): void {
  // This phone is enrolled now.
  app.code = undefined;
  app.show(recoveryKeyScreen(app, { claimed, kept: () => app.show(doneScreen(app, () => finish(app))) }));
}

function overview(app: App): void {
  const back = () => overview(app);
  const { country } = app.theClient().session.welcome;
  app.show(
    overviewScreen(app, {
      claim: () => setUpOwner(app, country),
      wifi: () => app.show(wifiScreen(app, { country, done: back, back })),
      reach: () => app.show(reachScreen(app, { done: back, back })),
      unlock: () => app.show(unlockScreen(app, back)),
      invite: () => app.show(inviteScreen(app, { back, leave: () => finish(app) })),
      phones: () => app.show(phonesScreen(app, back)),
      reset: () => app.show(resetScreen(app, { back, erased: () => void erased(app) })),
      leave: () => finish(app),
    }),
  );
}

async function erased(app: App): Promise<void> {
  await forget(app.theBox().deviceId);
  app.forgetBox();
  app.show(erasedScreen(app));
}

function finish(app: App): void {
  app.forgetBox();
  app.show(finishedScreen(app));
}
