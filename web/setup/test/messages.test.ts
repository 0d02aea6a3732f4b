import { expect, test } from "vitest";
import { guessCountry } from "../src/country.ts";
import { fromHex } from "../src/protocol/bytes.ts";
import { InfoError, advertisedName, deviceIdIsKnown, parseInfo } from "../src/protocol/info.ts";
import { parseRegistration, parseScan, parseServerUrl, parseWelcome } from "../src/protocol/messages.ts";
import { strengthOf } from "../src/strength.ts";

const ID = "0192f3a45b6c7d8e9fa0b1c2d3e4f506";

test("the example of the contract is an unlocked box with an owner", () => {
  const info = parseInfo(fromHex(`0101010301${ID}`));
  expect(info).toMatchObject({ speaksOurVersion: true, claimed: true, codesAccepted: false, daemonReachable: true });
  expect(advertisedName(info.deviceId)).toBe("Coffer-F506");
});

test.each([
  ["a longer layout 1 is read", `0101010001${ID}ffff`, { speaksOurVersion: true, claimed: false }],
  ["a box that begins above our version", `0102030001${ID}`, { speaksOurVersion: false }],
  ["a box that speaks ours among others", `0101030001${ID}`, { speaksOurVersion: true }],
  ["another layout", "02010107", { speaksOurVersion: false, claimed: false }],
  ["a daemon that does not answer", `0101018001${ID}`, { daemonReachable: false }],
  ["reserved flags", `0101017c01${ID}`, { claimed: false, codesAccepted: true, daemonReachable: true }],
])("info: %s", (_, value, expected) => {
  expect(parseInfo(fromHex(value))).toMatchObject(expected);
});

test("an info that is too short is none", () => {
  expect(() => parseInfo(fromHex("0101"))).toThrow(InfoError);
  expect(() => parseInfo(fromHex(`0101010001${ID.slice(2)}`))).toThrow(InfoError);
  expect(deviceIdIsKnown(parseInfo(fromHex(`0101010001${"00".repeat(16)}`)))).toBe(false);
});

test("networks that the box did not describe are left out, the rest is shown", () => {
  const scan = parseScan({ age_s: 3, networks: [{ ssid: "QQ", security: "wpa2" }, { ssid: "Qg", security: "wpa9" }, 7, { security: "open" }] });
  expect(scan.networks.map(({ name }) => name)).toEqual(["QQ"]);
  expect(parseScan({ age_s: null, error: { code: "radio_blocked", happened: "a", try: "b" } })).toMatchObject({ ageS: null, networks: [], error: { code: "radio_blocked" } });
});

test.each(["javascript:alert(1)", "data:text/html,x", "nonsense", "", 7, null])("%j does not become a link", (url) => {
  expect(parseServerUrl({ server_url: url, tunnel: "connected" }).url).toBeUndefined();
});

test("a welcome needs an access that we know; what else is missing is not known", () => {
  expect(parseWelcome({ type: "welcome", access: "god" })).toBeUndefined();
  expect(parseWelcome({ access: "owner" })).toBeUndefined();
  expect(parseWelcome({ type: "welcome", access: "owner" })).toMatchObject({ claimed: false, vault: "unknown", country: undefined });
  expect(parseRegistration("?")).toMatchObject({ state: "none", error: undefined });
});

test("the country follows the time zone, and the language where the zone says nothing", () => {
  expect(guessCountry("Europe/Berlin", "en-US")).toBe("DE");
  expect(guessCountry("America/New_York", "de-DE")).toBe("US");
  expect(guessCountry("Asia/Tokyo", "en")).toBe("JP");
  expect(guessCountry("UTC", "fr")).toBe("FR");
  expect(guessCountry("UTC", "pt-BR")).toBe("BR");
});

test.each([
  ["", "empty"],
  ["short", "short"],
  ["passwordpassword", "weak"],
  ["aaaaaaaaaaaaaaaaaaaa", "weak"],
  ["abcdefghijklmnopqrst", "weak"],
  ["correct horse battery staple", "fair"],
  ["correct horse battery staple violin", "good"],
  ["kX9#mQ2$vL7!pR4&", "good"],
])("%j is %s", (password, level) => {
  expect(strengthOf(password).level).toBe(level);
});
