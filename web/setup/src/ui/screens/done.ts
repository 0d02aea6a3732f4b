// The end of the way: where the box is reached.

import type { Registration, ServerUrl, WifiStatus } from "../../protocol/messages.ts";
import { strings } from "../../strings.ts";
import type { App, Screen } from "../app.ts";
import { h, icon, replace } from "../dom.ts";
import { failurePanel, note, paragraph, secondaryButton } from "../parts.ts";

export function doneScreen(app: App, finish: () => void): Screen {
  const words = strings.done;
  const client = app.theClient();
  const place = h("div", { role: "status" });
  let url: ServerUrl | undefined;
  let registration: Registration | undefined;
  let wifi: WifiStatus | undefined;
  const update = () => {
    if (url !== undefined && registration !== undefined && wifi !== undefined) replace(place, ...whereTo(url, registration, wifi));
  };
  const stops = [
    client.onServerUrl((value) => {
      url = value;
      update();
    }),
    client.onRegistration((value) => {
      registration = value;
      update();
    }),
    client.onWifiStatus((value) => {
      wifi = value;
      update();
    }),
  ];
  void (async () => {
    url ??= await client.serverUrl();
    registration ??= await client.registration();
    wifi ??= await client.wifiStatus();
    update();
  })().catch((error: unknown) => replace(place, failurePanel(error)));
  return {
    title: words.title,
    content: [
      h("div", { class: "hero good", "aria-hidden": "true" }, icon("check")),
      paragraph(words.lead, "lead"),
      place,
      secondaryButton(words.submit, finish),
    ],
    leave: () => stops.forEach((stop) => stop()),
  };
}

function whereTo(url: ServerUrl, registration: Registration, wifi: WifiStatus): HTMLElement[] {
  const words = strings.done;
  if (url.url !== undefined) {
    const link = linkTo(url.url, words.open);
    return url.tunnel === "connected" ? [link] : [note(words.starting), link];
  }
  if (registration.state === "registering") return [note(words.waiting)];
  const local = localUrl(wifi);
  return local === undefined ? [] : [paragraph(words.local), linkTo(local, words.open)];
}

// Where the box listens in its network (docs/operations.md).
const PORT = 8000;

// `192.168.1.20/24` as an address to open.
export function localUrl(wifi: WifiStatus): string | undefined {
  const address = wifi.addresses[0]?.split("/")[0];
  if (address === undefined) return undefined;
  const url = `http://${address.includes(":") ? `[${address}]` : address}:${PORT}/`;
  return URL.canParse(url) ? url : undefined;
}

function linkTo(url: string, label: string): HTMLElement {
  const link = h("a", { class: "primary", href: url, rel: "noopener", target: "_blank" }, label);
  return h("div", {}, link, h("p", { class: "address" }, url));
}
