// How the box is reached from outside, and how far its registration is.

import type { Registration, ServerUrl } from "../../protocol/messages.ts";
import { strings } from "../../strings.ts";
import type { App, Screen } from "../app.ts";
import { h, icon, on, replace, set } from "../dom.ts";
import { type ChoiceOption, choice, failurePanel, field, paragraph, passwordField, secondaryButton, taskForm } from "../parts.ts";
import { Refused } from "../../protocol/failure.ts";

type Way = "ticket" | "registrar" | "tunnel" | "local";

interface WayForm {
  details?: HTMLElement;
  check?: () => boolean;
  send: () => Promise<void>;
}

export function reachScreen(app: App, options: { done: () => void; back: () => void }): Screen {
  const words = strings.reach;
  const ticket = app.ticket;
  const forms: Record<Way, WayForm | undefined> = {
    ticket: ticket && { send: () => app.theClient().register(ticket) },
    registrar: registrarForm(app),
    tunnel: tunnelForm(app),
    local: { send: () => app.theClient().localOnly() },
  };
  const labels: Record<Way, { label: string; hint: string }> = {
    ticket: { label: words.ticket(ticket === undefined ? "" : new URL(ticket.registrar).host), hint: words.ticketHint },
    registrar: { label: words.registrar, hint: words.registrarHint },
    tunnel: { label: words.tunnel, hint: words.tunnelHint },
    local: { label: words.local, hint: words.localHint },
  };
  const ways = (Object.keys(forms) as Way[]).filter((way) => forms[way] !== undefined);
  const way = choice<Way>(
    words.legend,
    ways.map((value): ChoiceOption<Way> => {
      const details = forms[value]?.details;
      return details === undefined ? { value, ...labels[value] } : { value, ...labels[value], details };
    }),
    ways[0] ?? "local",
  );
  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      check: () => forms[way.value()]?.check?.() ?? true,
      run: async () => {
        await forms[way.value()]?.send();
        if (way.value() === "local") return options.done();
        app.show(registeringScreen(app, { done: options.done, other: () => app.show(reachScreen(app, options)) }));
      },
    },
    way.element,
  );
  return { title: words.title, step: "reach", content: [paragraph(words.lead, "lead"), form], back: options.back };
}

function registrarForm(app: App): WayForm {
  const words = strings.reach;
  const plain = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
  const url = field({ label: words.registrarUrl, input: { ...plain, type: "url", inputmode: "url", placeholder: "https://" } });
  const ticket = passwordField({ label: words.registrarTicket, input: { autocomplete: "off" } });
  return {
    details: h("div", { class: "details" }, url.element, ticket.element),
    check: () => {
      const right = isHttps(url.input.value);
      url.complain(right ? undefined : words.registrarUrlWrong);
      ticket.complain(ticket.input.value === "" ? words.registrarTicketMissing : undefined);
      return right && ticket.input.value !== "";
    },
    send: () => app.theClient().register({ registrar: url.input.value.trim(), ticket: ticket.input.value.trim() }),
  };
}

function tunnelForm(app: App): WayForm {
  const words = strings.reach;
  const token = passwordField({ label: words.tunnelToken, input: { autocomplete: "off" } });
  const plain = { autocomplete: "off", autocapitalize: "none", spellcheck: "false", inputmode: "url" };
  const host = field({ label: words.hostname, hint: words.hostnameHint, input: plain });
  return {
    details: h("div", { class: "details" }, token.element, host.element),
    check: () => {
      const right = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}$/i.test(host.input.value.trim());
      token.complain(token.input.value === "" ? words.tunnelTokenMissing : undefined);
      host.complain(right ? undefined : words.hostnameWrong);
      return right && token.input.value !== "";
    },
    send: () =>
      app.theClient().ownTunnel({ tunnel_token: token.input.value.trim(), hostname: host.input.value.trim().toLowerCase() }),
  };
}

export function isHttps(url: string): boolean {
  return URL.canParse(url.trim()) && new URL(url.trim()).protocol === "https:";
}

function registeringScreen(app: App, options: { done: () => void; other: () => void }): Screen {
  const words = strings.registering;
  const client = app.theClient();
  const list = h("ol", { class: "stages" });
  const trouble = h("div", { role: "alert" });
  const state = h("p", { role: "status" });
  const go = on(h("button", { type: "button", class: "primary" }, words.later), { click: options.done });
  let registration: Registration | undefined;
  let url: ServerUrl | undefined;
  const update = () => {
    if (registration === undefined || url === undefined) return;
    showStages(list, registration, url);
    showTrouble(trouble, registration);
    const finished = isFinished(registration, url);
    state.textContent = url.url === undefined ? "" : words.ready(url.url);
    go.textContent = finished ? words.go : words.later;
    set(go, "hidden", registration.state === "failed");
  };
  const stops = [
    client.onRegistration((value) => {
      registration = value;
      update();
    }),
    client.onServerUrl((value) => {
      url = value;
      update();
    }),
  ];
  void Promise.all([client.registration(), client.serverUrl()]).then(([first, second]) => {
    registration ??= first;
    url ??= second;
    update();
  }, (error: unknown) => replace(trouble, failurePanel(error)));
  return {
    title: words.title,
    step: "reach",
    content: [paragraph(words.lead, "lead"), list, state, trouble, go, secondaryButton(words.other, options.other)],
    back: options.other,
    leave: () => stops.forEach((stop) => stop()),
  };
}

function isFinished(registration: Registration, url: ServerUrl): boolean {
  return registration.state !== "registering" && registration.state !== "failed" && url.tunnel === "connected";
}

function showStages(list: HTMLElement, registration: Registration, url: ServerUrl): void {
  const words = strings.registering;
  const own = registration.state === "own_tunnel";
  const settled = registration.state === "registered" || own;
  const stages = own ? (["stored", "tunnel"] as const) : (["stored", "asking", "received", "tunnel"] as const);
  const reached = settled ? "tunnel" : (registration.step ?? "stored");
  const at = stages.findIndex((stage) => stage === reached);
  const rows = stages.map((stage, index) => {
    const done = index < at || (settled && url.tunnel === "connected");
    const kind = done ? "done" : index === at && registration.state !== "failed" ? "now" : "ahead";
    const words_ = h("span", { class: "visually-hidden" }, `: ${words.states[kind]}`);
    return h("li", { class: kind }, done ? icon("check") : h("span", { class: "dot", "aria-hidden": "true" }), words[stage], words_);
  });
  replace(list, ...rows);
}

function showTrouble(place: HTMLElement, registration: Registration): void {
  const { error, retryAfterS, attempt } = registration;
  const text = error === undefined ? "" : `${error.code} ${String(retryAfterS)}`;
  // Read out once, not with every notification.
  if (place.getAttribute("data-shown") === text) return;
  set(place, "data-shown", text);
  if (error === undefined) return replace(place);
  const panel = failurePanel(new Refused({ code: error.code, happened: error.happened, try: error.try }));
  const retrying = registration.state === "registering" && retryAfterS !== undefined;
  replace(place, panel, retrying && paragraph(strings.registering.retry(retryAfterS, attempt), "hint"));
}
