// The first screen, and what is said of a box that cannot be entered.

import * as keys from "../../keys.ts";
import { strings } from "../../strings.ts";
import type { App, Screen } from "../app.ts";
import { h, icon, replace } from "../dom.ts";
import { note, notice, paragraph, rowAction, secondaryButton, taskForm } from "../parts.ts";

const LOOK_AGAIN_MS = 5000;

export function findScreen(app: App, options: { off: boolean; pick: () => Promise<boolean> }): Screen {
  const words = strings.find;
  const missed = h("div", { role: "status" });
  const known = h("div", {});
  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      run: async () => {
        replace(missed);
        if (!(await options.pick())) replace(missed, notice(words.nothing));
      },
    },
    missed,
  );
  void listKnown(known);
  const off = notice(words.off);
  off.hidden = !options.off;
  // Some browsers do not say when it is switched on.
  const switched = (event: Event) => {
    off.hidden = (event as BluetoothAvailabilityEvent).value;
  };
  navigator.bluetooth.addEventListener("availabilitychanged", switched);
  return {
    title: words.title,
    step: "find",
    content: [
      h("div", { class: "hero", "aria-hidden": "true" }, icon("coffer")),
      paragraph(words.lead, "lead"),
      h("ol", { class: "todo" }, h("li", {}, words.power), h("li", {}, words.near), h("li", {}, words.bluetooth)),
      ...(app.ticket === undefined ? [] : [note(words.ticket(new URL(app.ticket.registrar).host))]),
      off,
      form,
      known,
    ],
    leave: () => navigator.bluetooth.removeEventListener("availabilitychanged", switched),
  };
}

interface BluetoothAvailabilityEvent extends Event {
  readonly value: boolean;
}

async function listKnown(place: HTMLElement): Promise<void> {
  const boxes = (await keys.knownBoxes()).filter((box) => box.boxKey !== undefined);
  if (boxes.length === 0) return replace(place);
  const rows = boxes.map((box) => {
    const remove = async () => {
      await keys.forget(box.deviceId);
      await listKnown(place);
    };
    const name = `${box.name} · ${box.deviceId.slice(-4).toUpperCase()}`;
    return h("li", {}, icon("key"), h("span", {}, name), rowAction(strings.find.forgetShort, strings.find.forget(box.name), () => void remove()));
  });
  const heading = h("h2", {}, strings.find.known);
  replace(place, heading, paragraph(strings.find.knownHint, "hint"), h("ul", { class: "known" }, ...rows));
}

export function unsupportedScreen(): Screen {
  const words = strings.unsupported;
  if (!window.isSecureContext) return { title: words.title, content: [paragraph(words.insecure, "lead")] };
  const ways = [words.phone, words.computer, words.terminal, words.cable].map((way) => h("li", {}, way));
  return { title: words.title, content: [paragraph(words.why, "lead"), h("ul", { class: "ways" }, ...ways), notice(words.ios)] };
}

// Looks again by itself as long as it is seen.
export function notReadyScreen(app: App, look: () => Promise<void>): Screen {
  const words = strings.notReady;
  const form = taskForm({ submit: words.submit, busy: words.busy, run: look });
  const timer = setInterval(() => form.requestSubmit(), LOOK_AGAIN_MS);
  return {
    title: words.title,
    step: "find",
    content: [paragraph(words.text, "lead"), paragraph(words.long), form],
    back: () => startOver(app),
    leave: () => clearInterval(timer),
  };
}

export function ownedScreen(app: App, look: () => Promise<void>): Screen {
  const words = strings.owned;
  return {
    title: words.title,
    step: "find",
    content: [
      paragraph(words.text(app.theBox().name), "lead"),
      paragraph(words.ask),
      paragraph(words.lost),
      taskForm({ submit: words.submit, busy: words.busy, run: look }),
      secondaryButton(words.other, () => startOver(app)),
    ],
    back: () => startOver(app),
  };
}

export function updatePageScreen(app: App): Screen {
  const words = strings.updatePage;
  return { title: words.title, content: [paragraph(words.text, "lead")], back: () => startOver(app) };
}

export function lostScreen(app: App, failure: HTMLElement, reconnect: () => Promise<void>): Screen {
  const words = strings.lost;
  return {
    title: words.title,
    content: [
      failure,
      taskForm({ submit: words.submit, busy: words.busy, run: reconnect }),
      secondaryButton(words.restart, () => startOver(app)),
    ],
  };
}

export function finishedScreen(app: App): Screen {
  const words = strings.finished;
  return {
    title: words.title,
    content: [
      h("div", { class: "hero good", "aria-hidden": "true" }, icon("check")),
      paragraph(words.text, "lead"),
      secondaryButton(words.again, () => startOver(app)),
    ],
  };
}

// The way begins at the page's own beginning: nothing of the last box is left in memory.
function startOver(app: App): void {
  app.forgetBox();
  app.begin();
}
