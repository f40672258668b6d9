/** An answer of the API server that is not a success, with the fields of its `Status` that callers decide by. */
export class KubeApiError extends Error {
  override readonly name = 'KubeApiError';
  /** HTTP status: 404, 409, 410, 422, 429, 5xx. */
  readonly status: number;
  /** `NotFound`, `AlreadyExists`, `Conflict`, `Invalid`, `Expired`, ... */
  readonly reason: string;
  /** How long the server asked to wait, or null. */
  readonly retryAfterMs: number | null;
  /** Name of the object it is about (`details.name`), or null. */
  readonly objectName: string | null;

  constructor(
    status: number,
    reason: string,
    message: string,
    retryAfterMs: number | null = null,
    objectName: string | null = null,
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
    this.objectName = objectName;
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
  let objectName: string | null = null;
  if (typeof body === 'object' && body !== null) {
    if ('reason' in body && typeof body.reason === 'string') reason = body.reason;
    if ('message' in body && typeof body.message === 'string') message = body.message;
    const details = 'details' in body ? (body.details as { readonly name?: unknown } | null) : null;
    if (typeof details?.name === 'string') objectName = details.name;
  } else if (typeof body === 'string') {
    message = body.slice(0, 500);
  }
  const retryAfterSeconds = Number(response.headers['retry-after'] ?? Number.NaN);
  return new KubeApiError(
    response.status,
    reason,
    `${doing}: ${message || `HTTP ${response.status}`}`,
    Number.isFinite(retryAfterSeconds) ? retryAfterSeconds * 1000 : null,
    objectName,
  );
}

/**
 * There is no such object. A 404 that names none says that the path is not served: for a moment after its start an API
 * server does not know its custom resources yet, and whoever took that for "gone" would forget what still exists.
 */
export function isNotFound(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 404 && error.objectName !== null;
}

export function isAlreadyExists(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 409 && error.reason === 'AlreadyExists';
}

/** An admission plugin, a policy or RBAC refuses the request. */
export function isForbidden(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 403;
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
