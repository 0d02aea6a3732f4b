// What an owner does near the box, one screen each: unlock, let a phone in, remove one, erase everything.

import type { Phone } from "../../protocol/messages.ts";
import { strings } from "../../strings.ts";
import type { App, Screen } from "../app.ts";
import { h, icon, on, replace } from "../dom.ts";
import { failurePanel, field, notice, paragraph, passwordField, rowAction, secondaryButton, taskForm } from "../parts.ts";

export function unlockScreen(app: App, back: () => void): Screen {
  const words = strings.unlock;
  const master = passwordField({ label: strings.master.label, input: { autocomplete: "current-password" } });
  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      check: () => {
        const typed = master.input.value !== "";
        master.complain(typed ? undefined : strings.join.passwordMissing);
        return typed;
      },
      run: async () => {
        await app.theClient().unlock(master.input.value);
        app.announce(words.done);
        back();
      },
    },
    master.element,
  );
  return { title: words.title, content: [paragraph(words.lead, "lead"), form], back };
}

export function inviteScreen(app: App, options: { back: () => void; leave: () => void }): Screen {
  const words = strings.invite;
  const place = h("div", { role: "status" });
  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      run: async () => {
        const code = await app.theClient().issueCode();
        const shown = h("p", { class: "secret", "aria-label": words.label, role: "group" }, code);
        replace(place, shown, secondaryButton(words.leave, options.leave));
      },
    },
    place,
  );
  return { title: words.title, content: [paragraph(words.lead, "lead"), notice(words.warning), form], back: options.back };
}

export function phonesScreen(app: App, back: () => void): Screen {
  const words = strings.phones;
  const list = h("ul", { class: "known" });
  const trouble = h("div", { role: "alert" });
  const show = async () => {
    try {
      const phones = await app.theClient().phones();
      replace(list, ...phones.map((phone) => row(phone, phones.length === 1)));
    } catch (error) {
      replace(trouble, failurePanel(error));
    }
  };
  const row = (phone: Phone, last: boolean) => {
    const seen = phone.lastSeenAt === undefined ? words.never : words.seen(new Date(phone.lastSeenAt).toLocaleString());
    const detail = phone.isThis ? words.thisOne : seen;
    const text = h("span", { class: "row-text" }, h("span", { class: "row-label" }, phone.name), h("span", { class: "row-detail" }, detail));
    const remove = rowAction(words.yes, words.revoke(phone.name), () => ask(phone, last, revoke(phone)));
    return h("li", {}, icon("phone"), text, remove);
  };
  const revoke = (phone: Phone) => async () => {
    await app.theClient().revokePhone(phone.id);
    await show();
  };
  void show();
  return { title: words.title, content: [paragraph(words.lead, "lead"), trouble, list], back };
}

// A question that takes the focus and gives it back.
function ask(phone: Phone, last: boolean, revoke: () => Promise<void>): void {
  const words = strings.phones;
  const no = secondaryButton(words.no, () => dialog.close());
  const form = taskForm(
    {
      submit: words.yes,
      busy: words.yes,
      run: async () => {
        await revoke();
        dialog.close();
      },
    },
    paragraph(words.confirm(phone.name)),
    last && notice(words.last),
  );
  form.classList.add("danger");
  const dialog = h("dialog", { "aria-label": words.revoke(phone.name) }, form, no);
  on(dialog, { close: () => dialog.remove() });
  document.body.append(dialog);
  dialog.showModal();
}

export function resetScreen(app: App, options: { back: () => void; erased: () => void }): Screen {
  const words = strings.reset;
  // The digits of its name: nobody erases the wrong box out of habit.
  const word = app.theBox().name;
  const typed = field({ label: words.type(word), input: { autocomplete: "off", autocapitalize: "none", spellcheck: "false" } });
  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      check: () => {
        const right = typed.input.value.trim() === word;
        typed.complain(right ? undefined : words.wrong(word));
        return right;
      },
      run: async () => {
        const client = app.theClient();
        const { token } = await client.factoryReset();
        await client.confirmFactoryReset(token);
        options.erased();
      },
    },
    typed.element,
  );
  form.classList.add("danger");
  return { title: words.title, content: [notice(words.lead), form], back: options.back };
}

export function erasedScreen(app: App): Screen {
  const words = strings.reset;
  return { title: strings.finished.title, content: [paragraph(words.done, "lead"), secondaryButton(strings.lost.restart, () => app.begin())] };
}
