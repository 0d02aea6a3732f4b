import { expect, test } from "vitest";
import { fromUtf8, toHex } from "../src/protocol/bytes.ts";
import { grouped, parseCode, parseLabel } from "../src/protocol/code.ts";

// The check of ten zeros is 0, and that of ...ZZ (1023) is 2.
const CODES = ["0000-0000-0000", "0000-0000-ZZ02"];

test.each(CODES)("%s is a code, however it is typed", (text) => {
  const spellings = [text, text.toLowerCase(), text.replaceAll("-", ""), text.replaceAll("-", " "), text.replaceAll("0", "O")];
  for (const typed of spellings) {
    const parsed = parseCode(typed);
    expect(parsed.state).toBe("complete");
    if (parsed.state !== "complete") continue;
    expect(fromUtf8(parsed.code.payload)).toBe(text.replaceAll("-", "").slice(0, 10));
    expect(parsed.code.text).toBe(text);
  }
});

test("I and L are read as 1", () => {
  expect(parseCode("0000-0000-01 01").state).toBe("complete");
  expect(parseCode("0000-0000-0I OL")).toEqual(parseCode("0000-0000-0101"));
});

test("every mistyped character is found, and every swap of neighbours", () => {
  const payload = "7K3M9QXTAC";
  const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const whole = [...alphabet].flatMap((a) => [...alphabet].map((b) => payload + a + b)).filter((each) => parseCode(each).state === "complete");
  expect(whole).toHaveLength(1);
  const right = whole[0] as string;
  for (let at = 0; at < 12; at++) {
    for (const other of alphabet) {
      if (other === right[at]) continue;
      expect(parseCode(right.slice(0, at) + other + right.slice(at + 1)).state).toBe("mistyped");
    }
    const swapped = right.slice(0, at) + right.slice(at, at + 2).split("").reverse().join("") + right.slice(at + 2);
    if (swapped !== right) expect(parseCode(swapped).state).toBe("mistyped");
  }
});

test.each([
  ["", { state: "incomplete", missing: 12 }],
  ["ab c", { state: "incomplete", missing: 9 }],
  ["ABU", { state: "foreign", character: "U" }],
  ["A😀", { state: "foreign", character: "😀" }],
  ["0000-0000-0000-0", { state: "too_long" }],
  ["0000-0000-0001", { state: "mistyped" }],
])("%j while it is typed", (text, expected) => {
  expect(parseCode(text)).toEqual(expected);
});

test("groups of four appear while typing", () => {
  expect(grouped("")).toBe("");
  expect(grouped("abc")).toBe("ABC");
  expect(grouped("abcde")).toBe("ABCD-E");
  expect(grouped("ab cd-efgh1")).toBe("ABCD-EFGH-1");
});

test("a label holds a code, and mostly the box's name", () => {
  const id = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506";
  const label = parseLabel(`coffer:1?d=${id}&c=0000-0000-ZZ02`);
  expect(label?.code.text).toBe("0000-0000-ZZ02");
  expect(toHex(label?.deviceId ?? new Uint8Array())).toBe(id.replaceAll("-", ""));
  expect(parseLabel("coffer:1?c=0000-0000-0000")?.deviceId).toBeUndefined();
});

test.each([
  "https://example.com/?c=0000-0000-0000",
  "coffer:2?c=0000-0000-0000",
  "coffer:1?c=0000-0000-0001",
  "coffer:1?d=0192f3a4&c=0000-0000-0000",
  "coffer:1",
  "",
])("%j is no label", (text) => {
  expect(parseLabel(text)).toBeUndefined();
});
