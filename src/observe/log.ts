import { pino, type DestinationStream, type Logger } from 'pino';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The part of the log that code asks for: fields first, then a sentence. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** Nobody should log these; if somebody does, they do not get out. */
const SECRET_FIELDS = ['authorization', 'token', 'password', 'clientKeyData', 'client-key-data', 'key'];

/** JSON lines on standard output (or `destination`): one line per displacement, with ids and counts. */
export function createLog(level: LogLevel, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }), log: inWholeMilliseconds },
    redact: { paths: SECRET_FIELDS.flatMap((name) => pathsTo(name)), censor: '[redacted]' },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** Monotonic clocks count in fractions of a nanosecond; nobody reads those. Fields are `ms` or end in `Ms`; `ms` may hold several. */
function inWholeMilliseconds(fields: Record<string, unknown>): Record<string, unknown> {
  const rounded = (key: string, value: unknown): unknown => {
    if (key !== 'ms' && !key.endsWith('Ms')) return value;
    if (typeof value === 'number') return Math.round(value);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, rounded('ms', part)]));
  };
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, rounded(key, value)]));
}

/** A field at the top, and one and two levels down. */
function pathsTo(name: string): string[] {
  return [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`];
}
