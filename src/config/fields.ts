/** The kinds of fields that a ReprieveConfiguration has. The message of every check is what is expected there: the loader adds what was found and where. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { formatDuration, parseDuration } from '../domain/duration.ts';
import { formatBytes, quantityToInteger } from '../domain/quantity.ts';

/** The grammar of `parseDuration`, for editors that read the JSON schema. */
const DURATION = /^(0|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)$/;
/** A label that looks like a number at the end would be an address that is none. */
const DNS_NAME = /^(\*\.)?([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)*[a-z]([-a-z0-9]*[a-z0-9])?$/i;
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const QUANTITY = /^\d+(\.\d+)?(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/;

/** A year. A deadline must stay a date that can be written. */
const MAX_DURATION_MS = 8760 * 3_600_000;

export function duration(defaultMs: number, description: string, minMs = 1) {
  const range = `from ${formatDuration(minMs)} to ${formatDuration(MAX_DURATION_MS)}`;
  const expected = { error: () => `a duration ${range}, as 30s or 1h30m` };
  return z
    .string(expected)
    .regex(DURATION, expected)
    .refine((text) => isWithin(parseDuration(text), minMs), expected)
    .default(formatDuration(defaultMs))
    .meta({ description, title: 'duration' });
}

function isWithin(durationMs: number | null, minMs: number): boolean {
  return durationMs !== null && durationMs >= minMs && durationMs <= MAX_DURATION_MS;
}

export function bytes(defaultBytes: number, description: string) {
  const expected = { error: () => 'a number of bytes greater than 0, as 500Mi or 1G' };
  const quantity = z
    .string(expected)
    .regex(QUANTITY, expected)
    .refine((text) => QUANTITY.test(text) && quantityToInteger(text) > 0, expected);
  return z
    .union([quantity, z.int(expected).min(1, expected)], expected)
    .default(formatBytes(defaultBytes))
    .meta({ description, title: 'quantity' });
}

export function integer(defaultValue: number, min: number, max: number, description: string) {
  const expected = { error: () => `a whole number from ${min} to ${max}` };
  return z.int(expected).min(min, expected).max(max, expected).default(defaultValue).meta({ description });
}

export function text(description: string) {
  const expected = { error: () => 'a text that is not empty' };
  return z.string(expected).min(1, expected).meta({ description });
}

export function optionalText(description: string) {
  const expected = { error: () => 'a text that is not empty, or null' };
  return z.string(expected).min(1, expected).nullable().default(null).meta({ description });
}

export function objectName() {
  const expected = { error: () => 'the name of an object, as reprieve' };
  return z.string(expected).max(253, expected).regex(OBJECT_NAME, expected);
}

export function nameOrAddress() {
  const expected = { error: () => 'a DNS name or an IP address' };
  return z
    .string(expected)
    .max(253, expected)
    .refine((given) => DNS_NAME.test(given) || (isIP(given) !== 0 && !given.includes('%')), expected)
    .meta({ description: 'A DNS name or an IP address.' });
}

export function choice<const T extends readonly [string, ...string[]]>(
  values: T,
  defaultValue: T[number],
  description: string,
) {
  return z
    .enum(values, { error: () => `one of ${values.join(', ')}` })
    .default(defaultValue as never)
    .meta({ description });
}
