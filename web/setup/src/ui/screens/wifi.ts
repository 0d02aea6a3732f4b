// The networks in reach, live, and the country whose rules the radio follows.

import { countries } from "../../country.ts";
import type { Network, Scan, WifiStatus } from "../../protocol/messages.ts";
import { strings } from "../../strings.ts";
import type { App, Screen } from "../app.ts";
import { h, icon, on, replace, set, uniqueId } from "../dom.ts";
import { failurePanel, note, paragraph, rowButton, secondaryButton } from "../parts.ts";
import { joinScreen } from "./join.ts";

const SCAN_EVERY_MS = 20_000;
// A list that is older than this is not shown without looking again.
const STALE_S = 15;

export function wifiScreen(app: App, options: { country: string | undefined; done: () => void; back?: () => void }): Screen {
  const words = strings.wifi;
  const client = app.theClient();
  const trouble = h("div", { role: "alert" });
  const current = h("div", { role: "status" });
  const list = new NetworkList((network) => join(network));
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work();
      replace(trouble);
    } catch (error) {
      // A session that has ended is told once, by its own screen.
      if (app.shows(screen)) replace(trouble, failurePanel(error));
    }
  };
  const look = () => void attempt(() => client.scan());
  const join = (network?: Network) => {
    const again = () => app.show(wifiScreen(app, options));
    app.show(joinScreen(app, { network, done: options.done, back: again }));
  };
  const stops = [client.onNetworks((scan) => list.show(scan)), client.onWifiStatus((status) => tell(current, status, options.done))];
  const timer = setInterval(() => document.visibilityState === "visible" && look(), SCAN_EVERY_MS);

  const screen: Screen = {
    title: words.title,
    step: "wifi",
    content: [
      paragraph(words.lead, "lead"),
      current,
      countryChoice(options.country, (country) => void attempt(() => client.setCountry(country).then(look))),
      h("div", { class: "list-head" }, h("h2", { id: "networks" }, words.networks), secondaryButton(words.again, look, "refresh")),
      trouble,
      list.element,
      rowButton("plus", words.hidden, words.hiddenDetail, () => join()),
    ],
    leave: () => {
      clearInterval(timer);
      stops.forEach((stop) => stop());
    },
  };
  if (options.back !== undefined) screen.back = options.back;
  void attempt(async () => {
    tell(current, await client.wifiStatus(), options.done);
    const scan = await client.networks();
    list.show(scan);
    if (!scan.scanning && (scan.ageS === null || scan.ageS > STALE_S)) await client.scan();
  });
  return screen;
}

// How the box is connected already, with a way on.
function tell(place: HTMLElement, status: WifiStatus, done: () => void): void {
  const connected = status.state === "connected" && status.name !== undefined;
  if (!connected && !status.wired) return replace(place);
  const text = status.wired ? strings.wifi.wired : strings.wifi.connected(status.name ?? "");
  if (place.querySelector("p")?.textContent === text) return;
  const keep = on(h("button", { type: "button", class: "primary" }, strings.wifi.keep), { click: done });
  replace(place, note(text), keep);
}

function countryChoice(chosen: string | undefined, change: (country: string) => void): HTMLElement {
  const id = uniqueId("country");
  const options = countries(navigator.language).map(({ code, name }) =>
    h("option", { value: code, selected: code === chosen }, name),
  );
  const select = h("select", { id, "aria-describedby": `${id}-hint` }, ...options);
  if (chosen === undefined) select.selectedIndex = -1;
  on(select, { change: () => change(select.value) });
  const hint = h("p", { id: `${id}-hint`, class: "hint" }, strings.wifi.countryHint);
  return h("div", { class: "field" }, h("label", { for: id }, strings.wifi.country), hint, select);
}

// A list that changes under the eyes: rows keep their place in the document, so that focus and a finger stay where they are.
class NetworkList {
  readonly element: HTMLElement;
  readonly #rows = new Map<string, { row: HTMLElement; shown: string }>();
  readonly #list = h("ul", { class: "networks", "aria-labelledby": "networks" });
  readonly #state = h("p", { class: "hint", role: "status" }, strings.wifi.looking);
  readonly #chosen: (network: Network) => void;

  constructor(chosen: (network: Network) => void) {
    this.#chosen = chosen;
    this.element = h("div", {}, this.#state, this.#list);
  }

  show(scan: Scan): void {
    this.#state.textContent = describe(scan);
    set(this.element, "aria-busy", String(scan.scanning));
    if (scan.error !== undefined) return;
    const focused = document.activeElement;
    const seen = new Set(scan.networks.map((network) => network.ssid));
    for (const [ssid, { row }] of this.#rows) {
      if (seen.has(ssid)) continue;
      row.remove();
      this.#rows.delete(ssid);
    }
    scan.networks.forEach((network, at) => this.#place(network, at));
    if (focused instanceof HTMLElement && focused.isConnected && focused !== document.activeElement) focused.focus();
  }

  #place(network: Network, at: number): void {
    const shown = JSON.stringify(network);
    let entry = this.#rows.get(network.ssid);
    if (entry === undefined || entry.shown !== shown) {
      const row = this.#row(network);
      const hadFocus = entry?.row.contains(document.activeElement) ?? false;
      entry?.row.replaceWith(row);
      entry = { row, shown };
      this.#rows.set(network.ssid, entry);
      if (hadFocus) row.querySelector("button")?.focus();
    }
    if (this.#list.children[at] !== entry.row) this.#list.insertBefore(entry.row, this.#list.children[at] ?? null);
  }

  #row(network: Network): HTMLElement {
    const words = strings.wifi;
    const detail = words.detail(words.security[network.security], words.signal(network.signalPercent), network.bands);
    const known = network.known ? `${words.known} · ${detail}` : detail;
    const button = rowButton(bars(network.signalPercent), network.name, known, () => {
      if (network.security !== "wep") this.#chosen(network);
    });
    if (network.security === "wep") {
      set(button, "aria-disabled", "true");
      button.lastElementChild?.remove();
    }
    if (network.security !== "open" && network.security !== "owe") button.querySelector(".row-label")?.after(icon("lock"));
    return h("li", {}, button);
  }
}

function bars(percent: number): "wifi0" | "wifi1" | "wifi2" | "wifi3" {
  return percent >= 70 ? "wifi3" : percent >= 40 ? "wifi2" : percent >= 20 ? "wifi1" : "wifi0";
}

function describe(scan: Scan): string {
  if (scan.error !== undefined) return `${scan.error.happened} ${scan.error.try}`;
  if (scan.scanning || scan.ageS === null) return strings.wifi.looking;
  return scan.networks.length === 0 ? strings.wifi.none : strings.wifi.found(scan.networks.length);
}
