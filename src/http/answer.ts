import { AppError, statusOf } from '../observe/error-codes.ts';

/** What goes back to a caller, and what the log says about it. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  /** The same, where it was there as bytes already: of a long body the text is not made. */
  readonly bytes?: Buffer;
  readonly contentType: string;
  /** Names, ids and counts for the one log line about this call; never contents. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** The cause of a 500, for the log only; null otherwise. */
  readonly error: unknown;
}

const JSON_TYPE = 'application/json';

export function jsonAnswer(body: string | Buffer, fields: Answer['fields'] = {}): Answer {
  const about = { status: 200, contentType: JSON_TYPE, fields, error: null };
  if (typeof body === 'string') return { ...about, body };
  return {
    ...about,
    bytes: body,
    get body() {
      return body.toString('utf8');
    },
  };
}

/** `{"code", "message"}`. Anything but an `AppError` with an HTTP status is our own fault and says nothing to the caller but that. */
export function errorAnswer(thrown: unknown, fields: Answer['fields'] = {}): Answer {
  const isOurs = thrown instanceof AppError && statusOf(thrown.code) !== 500;
  const { code, message } = isOurs ? thrown : new AppError('Internal');
  return {
    status: statusOf(code),
    body: JSON.stringify({ code, message }),
    contentType: JSON_TYPE,
    fields: { ...fields, code, ...(isOurs && { problem: message }) },
    error: isOurs ? null : thrown,
  };
}
