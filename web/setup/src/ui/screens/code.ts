// The setup code, typed or scanned. A typing mistake is found here, before it costs a guess.

import { equal } from "../../protocol/bytes.ts";
import { type Code, type Typed, grouped, parseCode, parseLabel } from "../../protocol/code.ts";
import { advertisedName } from "../../protocol/info.ts";
import { strings } from "../../strings.ts";
import type { App, Screen } from "../app.ts";
import { h, on, replace, set } from "../dom.ts";
import { type Field, field, notice, paragraph, secondaryButton, taskForm } from "../parts.ts";
import { canScan, scanLabel } from "../scan.ts";

export function codeScreen(app: App, enter: (code: Code) => Promise<void>): Screen {
  const words = strings.code;
  const box = app.theBox();
  const input = { inputmode: "text", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", maxlength: 20 };
  const typed = field({ label: words.label, input: { ...input, class: "code", placeholder: "XXXX-XXXX-XXXX" } });
  const verdict = h("p", { class: "verdict", role: "status" }, words.empty);
  const watch = () => judge(typed.input, verdict);
  on(typed.input, { input: watch });

  const form = taskForm(
    {
      submit: words.submit,
      busy: words.busy,
      check: () => complainAbout(typed),
      run: async () => {
        const code = parseCode(typed.input.value);
        if (code.state === "complete") await enter(code.code);
      },
    },
    typed.element,
    verdict,
  );
  const scanned = h("div", { role: "status" });
  const scan = secondaryButton(words.scan, () => void useLabel(), "qr");
  const useLabel = async () => {
    replace(scanned);
    const text = await scanLabel(scan);
    const problem = text === undefined ? undefined : take(text);
    if (problem !== undefined) replace(scanned, notice(problem));
  };
  // Returns why the label cannot be used.
  const take = (text: string): string | undefined => {
    const label = parseLabel(text);
    if (label === undefined) return words.notALabel;
    const ours = box.info?.deviceId;
    if (label.deviceId !== undefined && ours !== undefined && !equal(label.deviceId, ours)) {
      return words.otherBox(advertisedName(label.deviceId));
    }
    typed.input.value = label.code.text;
    watch();
    form.requestSubmit();
    return undefined;
  };

  const lead = box.info?.claimed ? words.invited(box.name) : words.lead(box.name);
  const screen: Screen = {
    title: words.title,
    step: "code",
    content: [paragraph(lead, "lead"), form, scanned, help()],
    back: () => {
      app.forgetBox();
      app.begin();
    },
  };
  void canScan().then((can) => {
    if (can && app.shows(screen)) scanned.before(scan);
  });
  return screen;
}

function help(): HTMLElement {
  const words = strings.code;
  return h("details", {}, h("summary", {}, words.where), paragraph(words.whereLabel), paragraph(words.whereCard));
}

// Groups of four appear while typing at the end; in the middle nothing moves under the cursor.
function judge(input: HTMLInputElement, verdict: HTMLElement): void {
  if (input.selectionStart === input.value.length) {
    const text = grouped(input.value);
    if (text !== input.value) input.value = text;
  }
  const typed = parseCode(input.value);
  verdict.textContent = describe(typed);
  set(verdict, "data-state", typed.state);
}

function describe(typed: Typed): string {
  const words = strings.code;
  switch (typed.state) {
    case "incomplete":
      return typed.missing === 12 ? words.empty : words.incomplete(typed.missing);
    case "foreign":
      return words.foreign(typed.character);
    case "too_long":
      return words.tooLong;
    case "mistyped":
      return words.mistyped;
    case "complete":
      return words.complete;
  }
}

function complainAbout(field: Field): boolean {
  const typed = parseCode(field.input.value);
  field.complain(typed.state === "complete" ? undefined : describe(typed));
  return typed.state === "complete";
}
