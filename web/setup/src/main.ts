// Starts the page.

import "./style/page.css";
import "./style/controls.css";
import "./style/content.css";
import { App, type Ticket } from "./ui/app.ts";
import { begin } from "./ui/flow.ts";
import { isHttps } from "./ui/screens/reach.ts";

// `#registrar=https://…&ticket=…`. A ticket is a secret: it does not stay in the address, where it would be shared or kept
// in the history. (A fragment is not sent to the host of this page.)
function takeTicket(): Ticket | undefined {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const registrar = fragment.get("registrar") ?? "";
  const ticket = fragment.get("ticket") ?? "";
  if (location.hash !== "") history.replaceState(null, "", location.pathname + location.search);
  return isHttps(registrar) && ticket !== "" ? { registrar, ticket } : undefined;
}

const root = document.getElementById("app");
if (root !== null) new App(root, { ticket: takeTicket(), begin: (app) => void begin(app) }).begin();

// The page works without a network from its second visit on.
if (import.meta.env.PROD && "serviceWorker" in navigator) void navigator.serviceWorker.register("sw.js");
