// What can go wrong between a phone and a box: what the box says (docs/ble.md, section 8), and what the phone notices.

export interface Failure {
  // From the closed lists of the contract.
  code: string;
  happened: string;
  try: string;
  retry_after_s?: number;
}

// The box said no, in clear during a handshake or sealed inside of a session.
export class Refused extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.code);
    this.failure = failure;
  }
}

export class ConnectionLost extends Error {}

// A step of the handshake or a request got no answer in its time.
export class NoAnswer extends Error {}

// The session is over although the connection is not: idle, or replaced.
export class SessionEnded extends Error {}

// Whoever answers is not the box: it does not know the code, has another key than before, or changed a message.
export class Imposter extends Error {}

// The value when it is a failure.
export function asFailure(value: unknown): Failure | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { code, happened, try: advice, retry_after_s: retryAfter } = value as Record<string, unknown>;
  if (typeof code !== "string" || typeof happened !== "string" || typeof advice !== "string") return undefined;
  const failure: Failure = { code, happened, try: advice };
  if (typeof retryAfter === "number") failure.retry_after_s = retryAfter;
  return failure;
}
