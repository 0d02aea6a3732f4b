// The pieces that screens are made of. They know how to be read out and operated by keyboard, not what they are for.

import { strings } from "../strings.ts";
import { type Child, h, icon, on, replace, set, uniqueId } from "./dom.ts";
import { explain } from "./failures.ts";

export interface Field {
  element: HTMLElement;
  input: HTMLInputElement;
  // Says what is wrong with the value, or takes that back.
  complain(problem: string | undefined): void;
}

export interface FieldOptions {
  label: string;
  hint?: string;
  // Attributes of the input: type, autocomplete, required, ...
  input?: Record<string, string | number | boolean>;
}

export function field(options: FieldOptions): Field {
  return assemble(options, (input) => input);
}

// With a button that shows what was typed.
export function passwordField(options: FieldOptions): Field {
  const secret = { type: "password", autocapitalize: "none", spellcheck: "false", ...options.input };
  return assemble({ ...options, input: secret }, (input) => {
    const toggle = h("button", { type: "button", class: "reveal", "aria-pressed": "false" }, icon("eye"));
    set(toggle, "aria-label", strings.showPassword(options.label));
    on(toggle, {
      click: () => {
        const shown = input.type === "password";
        input.type = shown ? "text" : "password";
        set(toggle, "aria-pressed", String(shown));
      },
    });
    return h("div", { class: "with-button" }, input, toggle);
  });
}

function assemble(options: FieldOptions, wrap: (input: HTMLInputElement) => HTMLElement): Field {
  const id = uniqueId("field");
  const hint = options.hint === undefined ? undefined : h("p", { id: `${id}-hint`, class: "hint" }, options.hint);
  const problem = h("p", { id: `${id}-problem`, class: "problem", hidden: true });
  const described = hint === undefined ? problem.id : `${hint.id} ${problem.id}`;
  const input = h("input", { id, type: "text", "aria-describedby": described, ...options.input });
  const element = h("div", { class: "field" }, h("label", { for: id }, options.label), hint, wrap(input), problem);
  const complain = (text: string | undefined) => {
    problem.hidden = text === undefined;
    problem.textContent = text ?? "";
    set(input, "aria-invalid", text === undefined ? undefined : "true");
  };
  on(input, { input: () => complain(undefined) });
  return { element, input, complain };
}

export interface Choice<T extends string> {
  element: HTMLElement;
  value(): T;
}

export interface ChoiceOption<T extends string> {
  value: T;
  label: string;
  hint?: string;
  // Shown while this one is chosen.
  details?: HTMLElement;
}

// Radio buttons with an explanation each.
export function choice<T extends string>(legend: string, options: ChoiceOption<T>[], chosen: T): Choice<T> {
  const name = uniqueId("choice");
  let value = chosen;
  const update = () => {
    for (const option of options) {
      if (option.details !== undefined) option.details.hidden = option.value !== value;
    }
  };
  const rows = options.map((option) => {
    const id = uniqueId("option");
    const radio = h("input", { type: "radio", id, name, value: option.value, checked: option.value === chosen });
    if (option.hint !== undefined) set(radio, "aria-describedby", `${id}-hint`);
    on(radio, {
      change: () => {
        value = option.value;
        update();
      },
    });
    const text = h("label", { for: id }, option.label);
    const hint = option.hint === undefined ? undefined : h("p", { id: `${id}-hint`, class: "hint" }, option.hint);
    return h("div", { class: "option" }, radio, h("div", {}, text, hint, option.details));
  });
  update();
  return {
    element: h("fieldset", { class: "choice" }, h("legend", { class: "visually-hidden" }, legend), ...rows),
    value: () => value,
  };
}

export interface Task {
  submit: string;
  // What the button and the screen reader say while it runs.
  busy: string;
  // Checks the fields; false when one of them has complained.
  check?: () => boolean;
  run: () => Promise<void>;
}

// A form with one button, whose failure is shown above it with what to do next. A second press while it runs does nothing.
export function taskForm(task: Task, ...children: Child[]): HTMLFormElement {
  const label = h("span", {}, task.submit);
  const button = h("button", { type: "submit", class: "primary" }, label);
  const outcome = h("div", { class: "outcome", role: "alert" });
  const progress = h("p", { class: "visually-hidden", role: "status" });
  const form = h("form", { novalidate: true }, ...children, outcome, progress, button);
  let running = false;
  const run = async () => {
    running = true;
    set(button, "aria-disabled", "true");
    button.classList.add("busy");
    replace(outcome);
    label.textContent = progress.textContent = task.busy;
    try {
      await task.run();
    } catch (error) {
      replace(outcome, failurePanel(error, button));
    } finally {
      running = false;
      button.classList.remove("busy");
      if (!button.hasAttribute("data-waiting")) set(button, "aria-disabled", undefined);
      label.textContent = task.submit;
      progress.textContent = "";
    }
  };
  on(form, {
    submit: (event) => {
      event.preventDefault();
      if (running || button.hasAttribute("data-waiting")) return;
      if (task.check !== undefined && !task.check()) {
        form.querySelector<HTMLInputElement>('[aria-invalid="true"]')?.focus();
        return;
      }
      void run();
    },
  });
  return form;
}

// What happened and what to try. `waiting` is the button that makes no sense before the box accepts another attempt.
export function failurePanel(error: unknown, waiting?: HTMLButtonElement): HTMLElement {
  const failure = explain(error);
  const countdown = h("p", { class: "countdown", role: "timer", hidden: true });
  const panel = h(
    "div",
    { class: "failure", "data-code": failure.code },
    icon("alert"),
    h("div", {}, h("p", { class: "happened" }, failure.happened), h("p", {}, failure.try), countdown),
  );
  if (failure.retry_after_s !== undefined && waiting !== undefined) count(failure.retry_after_s, countdown, waiting);
  return panel;
}

function count(seconds: number, countdown: HTMLElement, button: HTMLButtonElement): void {
  const end = performance.now() + seconds * 1000;
  set(button, "aria-disabled", "true");
  set(button, "data-waiting", true);
  const tick = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    countdown.hidden = left <= 0;
    countdown.textContent = strings.again(left);
    if (left > 0) return;
    clearInterval(timer);
    set(button, "aria-disabled", undefined);
    set(button, "data-waiting", undefined);
  };
  const timer = setInterval(tick, 1000);
  tick();
}

export function secondaryButton(label: string, action: () => void, picture?: Parameters<typeof icon>[0]): HTMLButtonElement {
  const drawing = picture === undefined ? undefined : icon(picture);
  return on(h("button", { type: "button", class: "secondary" }, drawing, h("span", {}, label)), { click: action });
}

// Beside what it acts on, which only who hears it must be told.
export function rowAction(label: string, spoken: string, action: () => void): HTMLButtonElement {
  const button = secondaryButton(label, action);
  set(button, "aria-label", spoken);
  return button;
}

// A line of a list that leads somewhere.
export function rowButton(
  picture: Parameters<typeof icon>[0],
  label: string,
  detail: string | undefined,
  action: () => void,
): HTMLButtonElement {
  const text = h("span", { class: "row-text" }, h("span", { class: "row-label" }, label));
  if (detail !== undefined) text.append(h("span", { class: "row-detail" }, detail));
  return on(h("button", { type: "button", class: "row" }, icon(picture), text, icon("chevron")), { click: action });
}

export function paragraph(text: string, kind = ""): HTMLParagraphElement {
  return h("p", { class: kind === "" ? undefined : kind }, text);
}

// Something to be careful about.
export function notice(text: string): HTMLElement {
  return h("p", { class: "notice" }, text);
}

// Something good to know.
export function note(text: string): HTMLElement {
  return h("p", { class: "note" }, text);
}
