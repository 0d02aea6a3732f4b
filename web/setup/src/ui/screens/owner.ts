// Making the vault: its master password, the first account, and the recovery key, which is shown once.

import { MIN_MASTER_CHARACTERS, strengthOf } from "../../strength.ts";
import { strings } from "../../strings.ts";
import type { App, Screen } from "../app.ts";
import { h, on, set, uniqueId } from "../dom.ts";
import { type Field, field, paragraph, passwordField, secondaryButton, taskForm } from "../parts.ts";
import { thisDevice } from "../this-device.ts";

const MIN_ACCOUNT_CHARACTERS = 12;
const USERNAME = /^[a-z0-9_-]{4,40}$/;
const GROUP = 4;

export interface Claimed {
  recoveryKey: string;
  username: string;
}

// `chosen` goes on with a master password; the vault is made with the account.
export function masterScreen(options: { chosen: (master: string) => void; back?: () => void }): Screen {
  const words = strings.master;
  const input = { autocomplete: "new-password", minlength: MIN_MASTER_CHARACTERS };
  const master = passwordField({ label: words.label, hint: words.hint, input });
  const repeat = passwordField({ label: words.repeat, input: { autocomplete: "new-password" } });
  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      check: () => {
        const strength = strengthOf(master.input.value);
        const short = strength.level === "empty" || strength.level === "short";
        master.complain(short ? words.hint : undefined);
        const differs = master.input.value !== repeat.input.value;
        repeat.complain(!short && differs ? words.differs : undefined);
        return !short && !differs;
      },
      run: async () => options.chosen(master.input.value),
    },
    master.element,
    meter(master),
    repeat.element,
  );
  const screen: Screen = { title: words.title, step: "owner", content: [paragraph(words.lead, "lead"), form] };
  if (options.back !== undefined) screen.back = options.back;
  return screen;
}

// How good the password is, in a bar and in words.
function meter(password: Field): HTMLElement {
  const id = uniqueId("strength");
  const bar = h("div", { class: "bar", "aria-hidden": "true" }, h("span"), h("span"), h("span"));
  const text = h("p", { id, class: "hint", role: "status" }, strings.strength.empty);
  const element = h("div", { class: "strength", "data-level": "empty" }, bar, text);
  on(password.input, {
    input: () => {
      const strength = strengthOf(password.input.value);
      set(element, "data-level", strength.level);
      text.textContent = strength.level === "short" ? strings.strength.short(strength.missing) : strings.strength[strength.level];
    },
  });
  return element;
}

export function accountScreen(app: App, options: { master: string; claimed: (claimed: Claimed) => void; back: () => void }): Screen {
  const words = strings.account;
  const name = field({ label: words.name, hint: words.nameHint, input: { autocomplete: "name", maxlength: 100 } });
  const plain = { autocapitalize: "none", spellcheck: "false", maxlength: 40 };
  const username = field({ label: words.username, hint: words.usernameHint, input: { ...plain, autocomplete: "username" } });
  const password = passwordField({ label: words.password, hint: words.passwordHint, input: { autocomplete: "new-password" } });
  const phone = field({ label: words.phone, hint: words.phoneHint, input: { autocomplete: "off", maxlength: 64 } });
  phone.input.value = thisDevice();
  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      check: () => {
        const typed = password.input.value;
        const rules: [Field, boolean, string][] = [
          [username, USERNAME.test(username.input.value.trim().toLowerCase()), words.usernameWrong],
          [password, typed !== options.master, words.passwordSame],
          [password, [...typed].length >= MIN_ACCOUNT_CHARACTERS, words.passwordShort],
          [phone, phone.input.value.trim() !== "", words.phoneMissing],
        ];
        for (const each of [username, password, phone]) each.complain(undefined);
        const broken = rules.filter(([, holds]) => !holds);
        for (const [where, , text] of broken) where.complain(text);
        return broken.length === 0;
      },
      run: async () => {
        const login = username.input.value.trim().toLowerCase();
        const displayName = name.input.value.trim();
        const recoveryKey = await app.theClient().claim({
          master_password: options.master,
          username: login,
          password: password.input.value,
          phone_name: phone.input.value.trim(),
          ...(displayName === "" ? {} : { display_name: displayName }),
        });
        options.claimed({ recoveryKey, username: login });
      },
    },
    name.element,
    username.element,
    password.element,
    phone.element,
  );
  return { title: words.title, step: "owner", content: [paragraph(words.lead, "lead"), form], back: options.back };
}

// Cannot be left before the person says that the key is kept.
export function recoveryKeyScreen(app: App, options: { claimed: Claimed; kept: () => void }): Screen {
  const words = strings.recoveryKey;
  const { recoveryKey, username } = options.claimed;
  const key = h("p", { class: "secret", tabindex: 0, role: "group", "aria-label": words.label }, inGroups(recoveryKey));
  const copy = secondaryButton(words.copy, () => {
    navigator.clipboard.writeText(recoveryKey).then(
      () => told(words.copied),
      () => told(words.notCopied),
    );
  });
  const copied = h("p", { class: "hint", role: "status" });
  const told = (text: string) => (copied.textContent = text);
  const id = uniqueId("kept");
  const kept = h("input", { type: "checkbox", id, "aria-describedby": `${id}-problem` });
  const problem = h("p", { id: `${id}-problem`, class: "problem", hidden: true }, words.keptMissing);
  on(kept, { change: () => (problem.hidden = true) });
  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      check: () => {
        problem.hidden = kept.checked;
        set(kept, "aria-invalid", kept.checked ? undefined : "true");
        return kept.checked;
      },
      run: async () => options.kept(),
    },
    h("div", { class: "option" }, kept, h("div", {}, h("label", { for: id }, words.kept), problem)),
  );
  const warn = (event: BeforeUnloadEvent) => event.preventDefault();
  window.addEventListener("beforeunload", warn);
  return {
    title: words.title,
    step: "owner",
    content: [
      paragraph(words.lead, "lead"),
      key,
      h("div", { class: "pair" }, secondaryButton(words.print, () => window.print()), copy),
      copied,
      paragraph(words.advice, "hint"),
      form,
      sheet(app, recoveryKey, username),
    ],
    leave: () => window.removeEventListener("beforeunload", warn),
  };
}

// Seen on paper only.
function sheet(app: App, recoveryKey: string, username: string): HTMLElement {
  const words = strings.recoveryKey;
  const rows: [string, string][] = [
    [words.sheetBox, `${app.theBox().name} (${app.theBox().deviceId})`],
    [words.sheetUser, username],
    [words.sheetDate, new Date().toLocaleDateString()],
  ];
  const list = h("dl", {}, ...rows.flatMap(([label, value]) => [h("dt", {}, label), h("dd", {}, value)]));
  const key = h("p", { class: "secret" }, inGroups(recoveryKey));
  return h("section", { class: "paper", "aria-hidden": "true" }, h("h2", {}, words.sheetTitle), key, list, paragraph(words.sheetAdvice));
}

// Readable groups, when the box did not make any.
function inGroups(key: string): string {
  return /[\s-]/.test(key) ? key : (key.match(new RegExp(`.{1,${GROUP}}`, "g"))?.join(" ") ?? key);
}

export function enrollScreen(app: App, done: () => void): Screen {
  const words = strings.enroll;
  const recovery = app.theClient().session.welcome.access === "recovery";
  const phone = field({ label: words.name, input: { autocomplete: "off", maxlength: 64 } });
  phone.input.value = thisDevice();
  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      check: () => {
        const named = phone.input.value.trim() !== "";
        phone.complain(named ? undefined : strings.account.phoneMissing);
        return named;
      },
      run: async () => {
        await app.theClient().enroll(phone.input.value.trim());
        app.code = undefined;
        done();
      },
    },
    phone.element,
  );
  return {
    title: words.title,
    content: [paragraph(words.lead, "lead"), ...(recovery ? [paragraph(words.recovery, "notice")] : []), form, secondaryButton(words.skip, done)],
  };
}
