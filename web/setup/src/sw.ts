// Lets the page open without a network: near a new box there may be none. The network goes first where there is one, so
// that nobody is kept on an old version.

interface LifeEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}

interface RequestEvent extends LifeEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

interface Worker extends EventTarget {
  readonly location: Location;
}

const worker = self as unknown as Worker;
const CACHE = "coffer-setup";

worker.addEventListener("install", (event) => (event as LifeEvent).waitUntil(store()));

worker.addEventListener("fetch", (event) => {
  const { request } = event as RequestEvent;
  const ours = new URL(request.url).origin === worker.location.origin;
  if (request.method === "GET" && ours) (event as RequestEvent).respondWith(answer(request));
});

// The page and what it names: the first visit loaded these before this worker was there.
async function store(): Promise<void> {
  const cache = await caches.open(CACHE);
  const page = await fetch("./");
  const names = [...(await page.clone().text()).matchAll(/(?:src|href)="([^"]+)"/g)].flatMap((match) => match[1] ?? []);
  await cache.put("./", page);
  await cache.addAll(names);
}

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const stored = await cache.match(request, { ignoreSearch: request.mode === "navigate" });
    if (stored === undefined) throw error;
    return stored;
  }
}
