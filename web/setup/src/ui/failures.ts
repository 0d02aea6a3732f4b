// Every error of the program as a failure that a person can act on.

import { ConnectionLost, type Failure, Imposter, NoAnswer, Refused, SessionEnded } from "../protocol/failure.ts";
import { strings } from "../strings.ts";

export function explain(error: unknown): Failure {
  if (error instanceof Refused) return error.failure;
  if (error instanceof ConnectionLost) return { code: "connection_lost", ...strings.failures.connectionLost };
  if (error instanceof NoAnswer) return { code: "no_answer", ...strings.failures.noAnswer };
  if (error instanceof SessionEnded) return { code: "session_ended", ...strings.failures.sessionEnded };
  if (error instanceof Imposter) return { code: "imposter", ...strings.failures.imposter };
  if (error instanceof DOMException && error.name === "NotAllowedError") {
    return { code: "not_allowed_by_browser", ...strings.failures.notAllowedByBrowser };
  }
  console.error(error);
  return { code: "unexpected", ...strings.failures.unexpected };
}
