/** An answer of the API server that is not a success, with the fields of its `Status` that callers decide by. */
export class KubeApiError extends Error {
  override readonly name = 'KubeApiError';
  /** HTTP status: 404, 409, 410, 422, 429, 5xx. */
  readonly status: number;
  /** `NotFound`, `AlreadyExists`, `Conflict`, `Invalid`, `Expired`, ... */
  readonly reason: string;
  /** How long the server asked to wait, or null. */
  readonly retryAfterMs: number | null;

  constructor(status: number, reason: string, message: string, retryAfterMs: number | null = null) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Builds the error from a response. `doing` is the verb phrase that leads the message, for example `creating pods "x"`. */
export function apiErrorOf(
  doing: string,
  response: { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body?: unknown },
): KubeApiError {
  const body = response.body;
  let reason = '';
  let message = '';
  if (typeof body === 'object' && body !== null) {
    if ('reason' in body && typeof body.reason === 'string') reason = body.reason;
    if ('message' in body && typeof body.message === 'string') message = body.message;
  } else if (typeof body === 'string') {
    message = body.slice(0, 500);
  }
  const retryAfterSeconds = Number(response.headers['retry-after'] ?? Number.NaN);
  return new KubeApiError(
    response.status,
    reason,
    `${doing}: ${message || `HTTP ${response.status}`}`,
    Number.isFinite(retryAfterSeconds) ? retryAfterSeconds * 1000 : null,
  );
}

export function isNotFound(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 404;
}

export function isAlreadyExists(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 409 && error.reason === 'AlreadyExists';
}

export function isConflict(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 409 && error.reason !== 'AlreadyExists';
}

/** The answer, or null where there is no such object. */
export async function ifFound<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}
