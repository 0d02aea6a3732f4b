// Opens a one-time link (docs/secrets.md, "Links"). What stands behind the # stays in this browser: the box is shown what
// was derived from it, and hands out what only it opens.
"use strict";

const CHUNK = 16384, TAG = 16, SALT = 24, COMMITMENT = 32;
const bytes = (text) => new TextEncoder().encode(text);
const joined = (...parts) => {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
};
const fromBase64 = (text) => {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) throw new Error("not base64url");
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
};
const toBase64 = (value) =>
  btoa(String.fromCharCode(...value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const idBytes = (id) => Uint8Array.from(id.replaceAll("-", "").match(/../g), (pair) => parseInt(pair, 16));

async function derive(secret, info) {
  const key = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, 256));
}

// HKDF's second half alone, with SHA-512, as C2SP's chunked-encryption wants it.
async function expand(key, info, length) {
  const hmac = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-512" }, false, ["sign"]);
  let previous = new Uint8Array(), out = new Uint8Array();
  for (let counter = 1; out.length < length; counter += 1) {
    previous = new Uint8Array(await crypto.subtle.sign("HMAC", hmac, joined(previous, info, [counter])));
    out = joined(out, previous);
  }
  return out.slice(0, length);
}

async function open(key, context, sealed) {
  const salt = sealed.slice(0, SALT);
  const label = bytes("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");
  const derived = await expand(key, joined(label, salt, context), 32 + 12 + COMMITMENT);
  const [named, found] = [derived.slice(44), sealed.slice(SALT, SALT + COMMITMENT)];
  if (found.length !== COMMITMENT || named.some((byte, at) => byte !== found[at])) throw new Error("another key");
  const aes = await crypto.subtle.importKey("raw", derived.slice(0, 32), "AES-GCM", false, ["decrypt"]);
  const body = sealed.slice(SALT + COMMITMENT), nonce = derived.slice(32, 44), parts = [];
  for (let index = 0; index === 0 || index * (CHUNK + TAG) <= body.length; index += 1) {
    const iv = Uint8Array.from(nonce);
    new DataView(iv.buffer).setUint32(8, new DataView(iv.buffer).getUint32(8) ^ index);
    const chunk = body.slice(index * (CHUNK + TAG), (index + 1) * (CHUNK + TAG));
    parts.push(new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, aes, chunk)));
  }
  return joined(...parts);
}

function unpadded(padded) {
  const length = new DataView(padded.buffer).getUint32(0);
  if (length > padded.length - 4 || padded.slice(4 + length).some((byte) => byte !== 0)) throw new Error("padding");
  return padded.slice(4, 4 + length);
}

async function fetchAndOpen(id, fragment) {
  const secret = fromBase64(fragment), place = idBytes(id);
  if (secret.length !== 32) throw new Error("length");
  const token = await derive(secret, joined(bytes("coffer/secrets/1/link/access\0"), place));
  const context = joined(bytes("coffer/secrets/1/link/content\0"), place);
  const reply = await fetch(`/api/v1/secrets/handouts/${id}/open`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ access_token: toBase64(token) }),
  });
  if (!reply.ok) throw Object.assign(new Error("refused"), { status: reply.status });
  const given = await reply.json();
  const content = unpadded(await open(await derive(secret, context), context, fromBase64(given.content)));
  return { item: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content)), viewsLeft: given.views_left };
}

// The page: text goes in as text, never as markup.

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

function field(name, value, hidden) {
  const shown = element("code", { textContent: hidden ? "••••••••" : value });
  const copy = element("button", { type: "button", textContent: "Copy", className: "small" });
  copy.setAttribute("aria-label", `Copy ${name}`);
  copy.onclick = async () => {
    await navigator.clipboard.writeText(value);
    copy.textContent = "Copied";
  };
  const buttons = [copy];
  if (hidden) {
    const show = element("button", { type: "button", textContent: "Show", className: "small" });
    show.setAttribute("aria-label", `Show ${name}`);
    show.onclick = () => { shown.textContent = value; show.remove(); };
    buttons.unshift(show);
  }
  return [element("dt", {}, element("bdi", { textContent: name })), element("dd", {}, shown, ...buttons)];
}

function show(card, { item, viewsLeft }) {
  const open = new Set(["text", "url", "email", "date"]);
  const list = element("dl");
  for (const { name, kind, value } of item.fields ?? []) list.append(...field(name, value, !open.has(kind)));
  if (item.notes) list.append(...field("Notes", item.notes, false));
  const left = viewsLeft === 0
    ? "The box has nothing of it any more. Keep what you need now."
    : `It can be opened ${viewsLeft === 1 ? "once" : `${viewsLeft} times`} more.`;
  const title = element("h1", { tabIndex: -1 }, element("bdi", { textContent: item.title || "A secret" }));
  card.replaceChildren(title, list, element("p", { className: "quiet", textContent: left }));
  title.focus();
}

function complain(card, title, text) {
  const heading = element("h1", { textContent: title, tabIndex: -1 });
  card.replaceChildren(heading, element("p", { textContent: text }));
  heading.focus();
}

// The same tab, and the link once more.
addEventListener("hashchange", () => location.reload());

const card = document.querySelector(".card"), button = document.querySelector("button");
const fragment = location.hash.slice(1), id = location.pathname.split("/").pop();
if (!globalThis.crypto?.subtle) {
  complain(card, "This connection is not protected", "A browser opens secrets over HTTPS alone. Use the address of the box that begins with https://.");
} else if (fragment.length !== 43) {
  complain(card, "The link is not whole", "Its last part is missing. Ask whoever sent it to send it again, and copy all of it.");
} else {
  button.disabled = false;
  button.onclick = async () => {
    button.disabled = true;
    // Neither the history of this browser nor a look over the shoulder should open it again.
    history.replaceState(null, "", location.pathname);
    try {
      show(card, await fetchAndOpen(id, fragment));
    } catch (error) {
      switch (error.status) {
        case 404: complain(card, "This link is not available", "It may have been opened already, have ended or been taken back. If you have not opened it, tell whoever sent it: somebody else may have."); break;
        case 423: complain(card, "The box is locked", "Nothing can be opened right now, and nothing was used up. Use the link again later."); break;
        case 429: complain(card, "Too many attempts", "Wait a minute, then use the link again."); break;
        case undefined: complain(card, "It could not be opened", "The link or what was received is damaged, or the connection broke off. Use the link again; if that does not help, ask for another."); break;
        default: complain(card, "The box does not answer", "Use the link again later.");
      }
    }
  };
}
