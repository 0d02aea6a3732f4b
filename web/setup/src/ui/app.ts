// The frame around the screens: one at a time, with its title, its place in the way, and the focus where it belongs.

import { Box } from "../box.ts";
import { chooseBox, connect } from "../bluetooth.ts";
import { knownBox, remember } from "../keys.ts";
import type { Client } from "../protocol/client.ts";
import type { Code } from "../protocol/code.ts";
import { strings } from "../strings.ts";
import { h, icon, on, replace, set } from "./dom.ts";

// In the order of the way through; screens outside of it have none.
export const STEPS = ["find", "code", "wifi", "reach", "owner"] as const;
export type Step = (typeof STEPS)[number];

export interface Screen {
  title: string;
  step?: Step;
  content: HTMLElement[];
  // Where the back button leads; without it there is none.
  back?: () => void;
  // Called when another screen takes its place.
  leave?: () => void;
}

// From the page's address: how the owner's service wants this box to be registered.
export interface Ticket {
  registrar: string;
  ticket: string;
}

export class App {
  box: Box | undefined;
  client: Client | undefined;
  // Comes back with it after a broken connection, as long as the box has not enrolled this phone.
  code: Code | undefined;
  readonly ticket: Ticket | undefined;
  // To the first screen.
  readonly begin: () => void;
  readonly #main: HTMLElement;
  readonly #progress: HTMLElement;
  readonly #announcer: HTMLElement;
  #screen: Screen | undefined;

  constructor(root: HTMLElement, options: { ticket: Ticket | undefined; begin: (app: App) => void }) {
    this.ticket = options.ticket;
    this.begin = () => options.begin(this);
    this.#progress = h("nav", { class: "progress", "aria-label": strings.progress });
    this.#main = h("main", { id: "main" });
    this.#announcer = h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" });
    const brand = h("p", { class: "brand" }, icon("coffer"), "Coffer");
    root.replaceChildren(h("header", {}, brand, this.#progress), this.#main, this.#announcer);
    root.append(h("footer", {}, h("p", {}, strings.promise)));
  }

  show(screen: Screen): void {
    this.#screen?.leave?.();
    const first = this.#screen === undefined;
    this.#screen = screen;
    document.title = `${screen.title} · Coffer`;
    this.#showProgress(screen.step);
    const heading = h("h1", { tabindex: -1 }, screen.title);
    const back = screen.back === undefined ? undefined : backButton(screen.back);
    replace(this.#main, back, heading, ...screen.content);
    window.scrollTo(0, 0);
    // The first screen is read from its top anyway.
    if (!first) heading.focus();
  }

  // Whether the screen is still the one that is seen: work in the background may end too late.
  shows(screen: Screen): boolean {
    return this.#screen === screen;
  }

  announce(text: string): void {
    this.#announcer.textContent = text;
  }

  // The browser's dialog. False when nothing was picked.
  async choose(): Promise<boolean> {
    const device = await chooseBox();
    if (device === undefined) return false;
    this.forgetBox();
    const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
    this.box = new Box({ open: () => connect(device), keys: { knownBox, remember }, random });
    return true;
  }

  theBox(): Box {
    if (this.box === undefined) throw new Error("no box was chosen");
    return this.box;
  }

  theClient(): Client {
    if (this.client === undefined) throw new Error("there is no session");
    return this.client;
  }

  // Leaves the box, and keeps nothing of it in memory.
  forgetBox(): void {
    this.client = undefined;
    this.code = undefined;
    this.box?.leave();
    this.box = undefined;
  }

  #showProgress(step: Step | undefined): void {
    set(this.#progress, "hidden", step === undefined);
    if (step === undefined) return;
    const at = STEPS.indexOf(step);
    const marks = STEPS.map((each, index) => {
      const state = index < at ? "done" : index === at ? "current" : "ahead";
      const words = h("span", { class: "visually-hidden" }, strings.stepState(strings.steps[each], state));
      return h("li", { class: state, "aria-current": index === at && "step" }, words);
    });
    const label = h("p", { "aria-hidden": "true" }, strings.stepOf(at + 1, STEPS.length, strings.steps[step]));
    replace(this.#progress, h("ol", {}, ...marks), label);
  }
}

function backButton(action: () => void): HTMLElement {
  return on(h("button", { type: "button", class: "back" }, icon("back"), strings.back), { click: action });
}
