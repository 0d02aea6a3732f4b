// Codes as people type them and as QR codes hold them (docs/ble.md, section 4).

import { type Bytes, parseUuid, utf8 } from "./bytes.ts";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_CHARACTERS = 10;
const CODE_CHARACTERS = 12;
const CHECK_MODULUS = 1021n;

// What a person has typed so far.
export type Typed =
  // Nothing is wrong yet, but characters are missing.
  | { state: "incomplete"; missing: number }
  // A character that no code has.
  | { state: "foreign"; character: string }
  | { state: "too_long" }
  // All twelve are there and do not belong together.
  | { state: "mistyped" }
  | { state: "complete"; code: Code };

// A code whose check was right.
export interface Code {
  // What is proved to the box: ten characters, as ASCII.
  payload: Bytes;
  // XXXX-XXXX-XXXX
  text: string;
}

// Upper case, I and L as 1, O as 0, no dashes and spaces.
function normalize(text: string): string {
  return text.toUpperCase().replaceAll(/[\s\-–—]/g, "").replaceAll(/[IL]/g, "1").replaceAll("O", "0");
}

export function parseCode(text: string): Typed {
  const characters = normalize(text);
  const foreign = [...characters].find((character) => !ALPHABET.includes(character));
  if (foreign !== undefined) return { state: "foreign", character: foreign };
  const missing = CODE_CHARACTERS - characters.length;
  if (missing > 0) return { state: "incomplete", missing };
  if (missing < 0) return { state: "too_long" };
  const payload = characters.slice(0, RANDOM_CHARACTERS);
  if (characters !== payload + checkOf(payload)) return { state: "mistyped" };
  return { state: "complete", code: { payload: utf8(payload), text: grouped(characters) } };
}

// In groups of four, as on the label; what is not of a code is left as it is, for its owner to see.
export function grouped(text: string): string {
  return normalize(text).match(/.{1,4}/gu)?.join("-") ?? "";
}

function checkOf(payload: string): string {
  let number = 0n;
  for (const character of payload) number = number * 32n + BigInt(ALPHABET.indexOf(character));
  const check = Number(number % CHECK_MODULUS);
  return ALPHABET.charAt(check >> 5) + ALPHABET.charAt(check & 31);
}

// A label's QR code. The device id may be left out there.
export interface Label {
  code: Code;
  deviceId: Bytes | undefined;
}

// `coffer:1?d=DEVICE-ID&c=XXXX-XXXX-XXXX`; undefined for any other text.
export function parseLabel(text: string): Label | undefined {
  const query = /^coffer:1\?(.*)$/i.exec(text.trim())?.[1];
  if (query === undefined) return undefined;
  const fields = new URLSearchParams(query);
  const typed = parseCode(fields.get("c") ?? "");
  const device = fields.get("d");
  const deviceId = device === null ? undefined : parseUuid(device);
  if (typed.state !== "complete" || (device !== null && deviceId === undefined)) return undefined;
  return { code: typed.code, deviceId };
}
