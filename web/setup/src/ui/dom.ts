// Elements from code, without a template language: text never becomes markup.

export type Child = Node | string | false | undefined;
type Attribute = string | number | boolean | undefined;
type Handlers = { [E in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[E]) => void };

// An attribute that is false or undefined is left out.
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Attribute> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  append(element, children);
  return element;
}

export function on<E extends HTMLElement>(element: E, handlers: Handlers): E {
  for (const [event, handler] of Object.entries(handlers)) {
    element.addEventListener(event, handler as EventListener);
  }
  return element;
}

export function set(element: Element, name: string, value: Attribute): void {
  if (value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

export function replace(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  append(element, children);
}

function append(element: Element, children: Child[]): void {
  for (const child of children) {
    if (child !== undefined && child !== false) element.append(child);
  }
}

let ids = 0;

export function uniqueId(prefix: string): string {
  ids += 1;
  return `${prefix}-${ids}`;
}

const SVG = "http://www.w3.org/2000/svg";

// A drawing in a square of 24; decoration, so that its text must stand beside it.
export function icon(name: keyof typeof ICONS): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  // The bars of a signal stand on the faint shape of a full one.
  if (name.startsWith("wifi")) svg.append(path(ICONS.wifi3, "faint"));
  svg.append(path(ICONS[name]));
  return svg;
}

function path(drawing: string, kind = ""): SVGPathElement {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("d", drawing);
  element.setAttribute("class", kind);
  return element;
}

const ICONS = {
  coffer: "M4 10a5 5 0 0 1 5-5h6a5 5 0 0 1 5 5v8a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1zM4 11h16M12 10v4",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z",
  check: "M5 12.5l4.5 4.5L19 7.5",
  alert: "M12 4l9 16H3zM12 10v4M12 16.8v.2",
  back: "M15 5l-7 7 7 7",
  chevron: "M9 5l7 7-7 7",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6z",
  plus: "M12 5v14M5 12h14",
  qr: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2v2h-2zM18 18h2v2h-2zM18 14h2M14 18v2",
  wifi0: "M12 18.5v.1",
  wifi1: "M12 18.5v.1M8.8 15.3a4.5 4.5 0 0 1 6.4 0",
  wifi2: "M12 18.5v.1M8.8 15.3a4.5 4.5 0 0 1 6.4 0M5.9 12.3a8.6 8.6 0 0 1 12.2 0",
  wifi3: "M12 18.5v.1M8.8 15.3a4.5 4.5 0 0 1 6.4 0M5.9 12.3a8.6 8.6 0 0 1 12.2 0M3 9.4a12.7 12.7 0 0 1 18 0",
  refresh: "M19 12a7 7 0 1 1-2-5l2 2M19 4v5h-5",
  key: "M4 12a3.5 3.5 0 1 1 7 0a3.5 3.5 0 1 1-7 0M11 12h9v3.5M16.5 12v2.5",
  phone: "M8 3h8a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zM11 18h2",
  globe: "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  light: "M9 18h6M10 21h4M12 3a6 6 0 0 1 3.5 10.9c-.4.4-.5 1-.5 1.6H9c0-.6-.1-1.2-.5-1.6A6 6 0 0 1 12 3z",
} as const;
