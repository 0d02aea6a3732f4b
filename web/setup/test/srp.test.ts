import { expect, test } from "vitest";
import vectors from "../../../crypto/vectors/srp.json";
import { fromHex, toHex } from "../src/protocol/bytes.ts";
import { INTEGER_BYTES, SrpClient, SrpError } from "../src/protocol/srp.ts";

interface Login {
  name: string;
  hash: string;
  bits: number;
  [value: string]: string | number;
}

// This page knows one group and one hash.
const logins = (vectors.logins as unknown as Login[]).filter(({ bits, hash }) => bits === 4096 && hash === "sha256");
const value = (login: Login, name: string) => fromHex(String(login[name]));
const padded = (login: Login, name: string) => fromHex(String(login[name]).padStart(2 * INTEGER_BYTES, "0"));

test("the vectors hold the published login, and short values of A, B and S", () => {
  expect(logins.length).toBeGreaterThanOrEqual(4);
});

test.each(logins.map((login) => [login.name, login] as const))("%s", (_, login) => {
  const client = new SrpClient(value(login, "a"));
  expect(client.A).toEqual(padded(login, "A"));
  const who = { identity: value(login, "I"), password: value(login, "P") };
  const proof = client.prove(who, value(login, "s"), padded(login, "B"));
  expect(toHex(proof.sessionKey)).toBe(login["K"]);
  expect(toHex(proof.m1)).toBe(login["M1"]);
  expect(proof.confirm(value(login, "M2"))).toBe(true);
  expect(proof.confirm(value(login, "M1"))).toBe(false);
  expect(proof.confirm(value(login, "M2").subarray(1))).toBe(false);
});

const N = fromHex(vectors.groups.find(({ bits }) => bits === 4096)?.N ?? "");

test.each([
  ["zero", new Uint8Array(INTEGER_BYTES)],
  ["N", N],
  ["more than N", new Uint8Array(INTEGER_BYTES).fill(255)],
  ["too short", new Uint8Array(INTEGER_BYTES - 1).fill(1)],
  ["too long", new Uint8Array(INTEGER_BYTES + 1)],
  ["nothing", new Uint8Array(0)],
])("a box whose B is %s is refused", (_, B) => {
  const client = new SrpClient(new Uint8Array(32).fill(7));
  const who = { identity: new Uint8Array(16), password: new Uint8Array(10) };
  expect(() => client.prove(who, new Uint8Array(16), B)).toThrow(SrpError);
});
