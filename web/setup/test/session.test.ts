import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { utf8, concat } from "../src/protocol/bytes.ts";
import { Client } from "../src/protocol/client.ts";
import { ConnectionLost, Imposter, NoAnswer, Refused, SessionEnded } from "../src/protocol/failure.ts";
import { Channel } from "../src/protocol/gatt.ts";
import type { Session } from "../src/protocol/session.ts";
import { SealedBox, WELCOME } from "./sealed-box.ts";

let box: SealedBox;
let session: Session;

beforeEach(async () => {
  box = new SealedBox();
  session = await box.session();
});

afterEach(() => {
  vi.useRealTimers();
});

test("a reply finds its request, in whatever order", async () => {
  box.onRequest = ({ channel, value }) => {
    if (value.op === "unlock") return;
    box.notify(channel, { id: value.id, ok: { token: "t", expires_in_s: 60 } });
    box.notify(channel, { id: (value.id ?? 0) - 1, ok: {} });
  };
  const client = new Client(session);
  const unlocked = client.unlock("…");
  expect(await client.factoryReset()).toEqual({ token: "t", expiresInS: 60 });
  await unlocked;
});

test("what the box refuses says why and what to try", async () => {
  const failure = { code: "wrong_password", happened: "The network refused it.", try: "Type it again.", retry_after_s: 3 };
  box.onRequest = ({ channel, value }) => box.notify(channel, { id: value.id, error: failure });
  const refused = await new Client(session).connect({ ssid: "SG9tZQ" }).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(Refused);
  expect((refused as Refused).failure).toEqual(failure);
  // The session goes on.
  box.onRequest = ({ channel, value }) => box.notify(channel, { id: value.id, ok: {} });
  await new Client(session).identify();
});

test("the whole request is on the wire", async () => {
  const requests: unknown[] = [];
  box.onRequest = ({ channel, value }) => {
    requests.push([channel, value]);
    if (value.id !== undefined) box.notify(channel, { id: value.id, ok: {} });
  };
  const client = new Client(session);
  await client.scan();
  await client.scan("SGlkZGVu");
  await client.connect({ ssid: "SG9tZQ", security: "wpa2", password: "correct horse" });
  await client.register({ registrar: "https://r.example", ticket: "T" });
  await client.ownTunnel({ tunnel_token: "tt", hostname: "files.example" });
  await client.localOnly();
  await client.setCountry("DE");
  await client.enroll("Phone");
  await client.revokePhone("p1");
  await client.confirmFactoryReset("t");
  expect(requests).toEqual([
    [3, { op: "scan" }],
    [3, { op: "scan", ssid: "SGlkZGVu" }],
    [4, { id: 1, op: "connect", ssid: "SG9tZQ", security: "wpa2", password: "correct horse" }],
    [6, { id: 2, op: "register", registrar: "https://r.example", ticket: "T" }],
    [6, { id: 3, op: "own_tunnel", tunnel_token: "tt", hostname: "files.example" }],
    [6, { id: 4, op: "local_only" }],
    [9, { id: 5, op: "set_country", country: "DE" }],
    [9, { id: 6, op: "enroll", phone_name: "Phone" }],
    [9, { id: 7, op: "revoke_phone", phone: "p1" }],
    [9, { id: 8, op: "factory_reset_confirm", token: "t" }],
  ]);
});

test("frames have 20 bytes until the box has shown that more fit", async () => {
  box.onRequest = ({ channel, value }) => box.notify(channel, { id: value.id, ok: {} });
  const client = new Client(session);
  await client.unlock("x".repeat(300));
  expect(Math.max(...box.frameSizes)).toBe(20);
  box.frameBytes = 244;
  box.notify(Channel.session, { ...WELCOME, claimed: true });
  box.frameSizes.length = 0;
  await client.unlock("x".repeat(300));
  expect(Math.max(...box.frameSizes)).toBe(244);
});

test("a new welcome replaces the old", async () => {
  const seen: boolean[] = [];
  new Client(session).onWelcome(() => seen.push(session.welcome.claimed));
  box.notify(Channel.session, { ...WELCOME, claimed: true, vault: "unlocked" });
  expect(session.welcome).toMatchObject({ claimed: true, vault: "unlocked" });
  expect(seen).toEqual([true]);
});

test("a value is read over several frames", async () => {
  const value = { state: "connected", ssid: "SG9tZQ", ssid_text: "Home", addresses: ["192.168.1.20/24"], connectivity: "full" };
  box.willRead(box.seal(Channel.wifiStatus, value));
  expect(await new Client(session).wifiStatus()).toMatchObject({ state: "connected", name: "Home", addresses: ["192.168.1.20/24"] });
});

test("reading begins anew when another read was given up in the middle", async () => {
  box.willRead(box.seal(Channel.serverUrl, { server_url: "https://old.example.com", tunnel: "none" }));
  await box.read();
  box.willRead(box.seal(Channel.serverUrl, { server_url: "https://new.example.com", tunnel: "connected" }));
  expect(await new Client(session).serverUrl()).toEqual({ url: "https://new.example.com", tunnel: "connected" });
});

test("a notification that overtakes a read is the newer value, and ends nothing", async () => {
  box.willRead(box.seal(Channel.registration, { state: "registering", step: "asking" }));
  box.onRead = (left) => {
    if (left === 2) box.notify(Channel.registration, { state: "registered" });
  };
  expect((await new Client(session).registration()).state).toBe("registered");
  box.onRequest = ({ channel, value }) => box.notify(channel, { id: value.id, ok: {} });
  await new Client(session).identify();
});

test.each([
  ["a message that repeats", () => box.say(Channel.session, box.seal(Channel.session, WELCOME, 0))],
  ["a message of another characteristic", () => box.say(Channel.control, box.seal(Channel.session, WELCOME))],
  ["a changed message", () => box.say(Channel.session, box.seal(Channel.session, WELCOME).map((byte, at) => (at === 40 ? byte ^ 1 : byte)))],
  ["a message that is no JSON", () => box.say(Channel.session, box.seal(Channel.session, "{"))],
  ["JSON that is no object", () => box.say(Channel.session, box.seal(Channel.session, "7"))],
  ["a message in clear", () => box.say(Channel.control, utf8("hello"))],
])("%s ends the session, and every request with it", async (_, attack) => {
  const pending = new Client(session).identify();
  attack();
  await expect(pending).rejects.toBeInstanceOf(Imposter);
  expect(await session.ended).toBeInstanceOf(Imposter);
  await expect(new Client(session).identify()).rejects.toBeInstanceOf(Imposter);
  await expect(new Client(session).wifiStatus()).rejects.toBeInstanceOf(Imposter);
});

const refused = (code: string) => concat(new Uint8Array([0x0f]), utf8(JSON.stringify({ code, happened: "…", try: "…" })));

test("a refusal that is meant for somebody else changes nothing", async () => {
  box.onRequest = ({ channel, value }) => box.notify(channel, { id: value.id, ok: {} });
  box.say(Channel.session, refused("busy"));
  box.say(Channel.session, refused("session_ended"));
  await new Client(session).identify();
});

test("a box that has ended the session is believed when it stays silent", async () => {
  vi.useFakeTimers();
  const pending = new Client(session).unlock("…");
  pending.catch(() => undefined);
  box.say(Channel.session, refused("session_ended"));
  await vi.advanceTimersByTimeAsync(5_000);
  await expect(pending).rejects.toBeInstanceOf(SessionEnded);
});

test("a request that is not answered ends, the session does not", async () => {
  vi.useFakeTimers();
  const pending = new Client(session).identify();
  pending.catch(() => undefined);
  await vi.advanceTimersByTimeAsync(30_000);
  await expect(pending).rejects.toBeInstanceOf(NoAnswer);
  box.onRequest = ({ channel, value }) => box.notify(channel, { id: value.id, ok: {} });
  await new Client(session).identify();
});

test("a connection that breaks ends every request", async () => {
  const pending = new Client(session).identify();
  box.disconnect();
  await expect(pending).rejects.toBeInstanceOf(ConnectionLost);
  expect(await session.ended).toBeInstanceOf(ConnectionLost);
});
