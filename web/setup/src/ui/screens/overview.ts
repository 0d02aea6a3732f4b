// What an enrolled phone sees: how the box is, and what can be done near it.

import type { Registration, ServerUrl, WifiStatus } from "../../protocol/messages.ts";
import { strings } from "../../strings.ts";
import type { App, Screen } from "../app.ts";
import { h, replace } from "../dom.ts";
import { failurePanel, rowButton, secondaryButton } from "../parts.ts";
import { localUrl } from "./done.ts";

export interface Ways {
  claim: () => void;
  wifi: () => void;
  reach: () => void;
  unlock: () => void;
  invite: () => void;
  phones: () => void;
  reset: () => void;
  leave: () => void;
}

export function overviewScreen(app: App, ways: Ways): Screen {
  const words = strings.overview;
  const client = app.theClient();
  const facts = h("div", { role: "status" });
  const trouble = h("div", { role: "alert" });
  const actions = h("div", { class: "rows" });
  let wifi: WifiStatus | undefined;
  let url: ServerUrl | undefined;
  let registration: Registration | undefined;
  const update = () => {
    const { vault } = client.session.welcome;
    const rows: [string, string | HTMLElement][] = [
      [words.network, wifi === undefined ? "…" : networkOf(wifi)],
      [words.address, url === undefined ? "…" : addressOf(url, registration, wifi)],
      [words.vault, words.vaults[vault]],
    ];
    const list = rows.map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, value)));
    replace(facts, h("dl", { class: "facts" }, ...list));
  };
  const showActions = () => replace(actions, ...actionsOf(app, ways, identify));
  const identify = () => {
    client.identify().then(
      () => app.announce(words.blinking),
      (error: unknown) => replace(trouble, failurePanel(error)),
    );
  };
  const stops = [
    client.onWifiStatus((value) => ((wifi = value), update())),
    client.onServerUrl((value) => ((url = value), update())),
    client.onRegistration((value) => ((registration = value), update())),
    client.onWelcome(() => (update(), showActions())),
  ];
  void (async () => {
    wifi ??= await client.wifiStatus();
    url ??= await client.serverUrl();
    registration ??= await client.registration();
    update();
  })().catch((error: unknown) => replace(trouble, failurePanel(error)));
  update();
  showActions();
  return {
    title: words.title(`${client.session.welcome.deviceName} · ${app.theBox().name}`),
    content: [facts, trouble, h("h2", {}, words.actions), actions, secondaryButton(words.leave, ways.leave)],
    leave: () => stops.forEach((stop) => stop()),
  };
}

function actionsOf(app: App, ways: Ways, identify: () => void): HTMLElement[] {
  const words = strings.overview;
  const { vault, claimed, access } = app.theClient().session.welcome;
  return [
    ...(vault === "locked" ? [rowButton("lock", words.unlock, words.unlockDetail, ways.unlock)] : []),
    ...(!claimed && access === "setup" ? [rowButton("key", words.claim, words.claimDetail, ways.claim)] : []),
    rowButton("wifi3", words.wifi, words.wifiDetail, ways.wifi),
    rowButton("globe", words.reach, words.reachDetail, ways.reach),
    ...(access === "owner" ? [rowButton("key", words.invite, words.inviteDetail, ways.invite)] : []),
    rowButton("phone", words.phones, words.phonesDetail, ways.phones),
    rowButton("light", words.identify, words.identifyDetail, identify),
    rowButton("alert", words.reset, words.resetDetail, ways.reset),
  ];
}

function networkOf(wifi: WifiStatus): string {
  const words = strings.overview;
  if (wifi.wired) return words.wired;
  return wifi.state === "connected" ? (wifi.name ?? "") : words.offline;
}

function addressOf(url: ServerUrl, registration: Registration | undefined, wifi: WifiStatus | undefined): string | HTMLElement {
  const words = strings.overview;
  const local = wifi === undefined ? undefined : localUrl(wifi);
  const address = url.url ?? (registration?.state === "local_only" ? local : undefined);
  if (address === undefined) return registration?.state === "local_only" ? words.localOnly : words.noAddress;
  return h("a", { href: address, rel: "noopener", target: "_blank" }, address);
}
