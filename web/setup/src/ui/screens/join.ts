// Into one network: what it asks for, and what it said when it refused.

import type { Enterprise, NetworkChange } from "../../protocol/client.ts";
import { toBase64url, utf8 } from "../../protocol/bytes.ts";
import type { Network, Security } from "../../protocol/messages.ts";
import { strings } from "../../strings.ts";
import type { App, Screen } from "../app.ts";
import { h, on, uniqueId } from "../dom.ts";
import { choice, field, paragraph, notice, passwordField, taskForm } from "../parts.ts";

// What a WPA password may be; WPA3 alone has no such limits.
const WPA2_MIN = 8;
const WPA2_MAX = 63;

// One kind of protection, with its fields.
interface Fields {
  element: HTMLElement;
  check(): boolean;
  value(): Pick<NetworkChange, "password" | "enterprise">;
}

// Without a network: one that hides its name.
export function joinScreen(app: App, options: { network: Network | undefined; done: () => void; back: () => void }): Screen {
  const words = strings.join;
  const part = options.network === undefined ? hidden() : visible(options.network);
  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      check: part.check,
      run: async () => {
        const status = await app.theClient().connect(part.change());
        app.announce(words.joined(status.name ?? part.name()));
        options.done();
      },
    },
    part.element,
  );
  const title = options.network === undefined ? words.hiddenTitle : words.title(options.network.name);
  return { title, step: "wifi", content: [form], back: options.back };
}

interface Part {
  element: HTMLElement;
  check: () => boolean;
  change: () => NetworkChange;
  name: () => string;
}

function visible(network: Network): Part {
  const fields = fieldsFor(network.security);
  return {
    element: fields.element,
    check: fields.check,
    change: () => ({ ssid: network.ssid, security: network.security, ...fields.value() }),
    name: () => network.name,
  };
}

function hidden(): Part {
  const words = strings.join;
  const name = field({ label: words.name, hint: words.nameHint, input: { autocomplete: "off", autocapitalize: "none", spellcheck: "false" } });
  const kinds = (["wpa2_wpa3", "enterprise", "open"] as const).map((value) => ({ value, fields: fieldsFor(value) }));
  const options = kinds.map(({ value, fields }) => ({ value, label: words.kinds[value], details: fields.element }));
  const kind = choice(words.kind, options, "wpa2_wpa3");
  const chosen = () => kinds.find(({ value }) => value === kind.value())?.fields;
  return {
    element: h("div", {}, name.element, h("p", { class: "label", "aria-hidden": "true" }, words.kind), kind.element),
    check: () => {
      name.complain(name.input.value === "" ? words.nameMissing : undefined);
      return (chosen()?.check() ?? false) && name.input.value !== "";
    },
    change: () => ({ ssid: toBase64url(utf8(name.input.value)), security: kind.value(), hidden: true, ...chosen()?.value() }),
    name: () => name.input.value,
  };
}

function fieldsFor(security: Security): Fields {
  switch (security) {
    case "open":
    case "owe":
    case "wep":
      return { element: notice(strings.join.open), check: () => true, value: () => ({}) };
    case "wpa2":
    case "wpa3":
    case "wpa2_wpa3":
      return passwordFields(security);
    case "enterprise":
      return enterpriseFields();
  }
}

function passwordFields(security: Security): Fields {
  const words = strings.join;
  const password = passwordField({ label: words.password, input: { autocomplete: "off" } });
  const problem = () => {
    const length = password.input.value.length;
    if (length === 0) return words.passwordMissing;
    if (security === "wpa3") return undefined;
    // 64 characters are the key itself, in hexadecimal.
    if (/^[0-9a-f]{64}$/i.test(password.input.value)) return undefined;
    return length < WPA2_MIN ? words.passwordShort : length > WPA2_MAX ? words.passwordLong : undefined;
  };
  return {
    element: password.element,
    check: () => {
      password.complain(problem());
      return problem() === undefined;
    },
    value: () => ({ password: password.input.value }),
  };
}

function enterpriseFields(): Fields {
  const words = strings.join;
  const plain = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
  const identity = field({ label: words.identity, hint: words.identityHint, input: plain });
  const password = passwordField({ label: words.enterprisePassword, input: { autocomplete: "off" } });
  const method = choice<"peap" | "ttls">(
    words.method,
    [
      { value: "peap", label: words.methods.peap },
      { value: "ttls", label: words.methods.ttls },
    ],
    "peap",
  );
  const anonymous = field({ label: words.anonymous, hint: words.anonymousHint, input: plain });
  const domain = field({ label: words.domain, hint: words.domainHint, input: plain });
  const certificate = certificateField();
  const more = h("details", {}, h("summary", {}, words.more), method.element, anonymous.element, domain.element, certificate.element);
  return {
    element: h("div", {}, identity.element, password.element, more),
    check: () => {
      identity.complain(identity.input.value === "" ? words.identityMissing : undefined);
      password.complain(password.input.value === "" ? words.passwordMissing : undefined);
      return identity.input.value !== "" && password.input.value !== "";
    },
    value: () => {
      const enterprise: Enterprise = { method: method.value(), identity: identity.input.value, password: password.input.value };
      if (anonymous.input.value !== "") enterprise.anonymous_identity = anonymous.input.value;
      if (domain.input.value !== "") enterprise.server_domain = domain.input.value;
      if (certificate.value() !== "") enterprise.ca_certificate_pem = certificate.value();
      return { enterprise };
    },
  };
}

// A file, or its text pasted.
function certificateField(): { element: HTMLElement; value: () => string } {
  const words = strings.join;
  const id = uniqueId("certificate");
  const text = h("textarea", { id, rows: 3, spellcheck: "false", "aria-describedby": `${id}-hint` });
  const file = h("input", { type: "file", accept: ".pem,.crt,.cer", "aria-label": words.certificate });
  on(file, {
    change: () => {
      void file.files?.[0]?.text().then((content) => {
        text.value = content;
      });
    },
  });
  const hint = paragraph(words.certificateHint, "hint");
  hint.id = `${id}-hint`;
  return { element: h("div", { class: "field" }, h("label", { for: id }, words.certificate), hint, text, file), value: () => text.value.trim() };
}
