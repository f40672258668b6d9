import { messageOf } from '../../domain/message-of.ts';
import { isRecord, type JsonRecord } from '../api-server/json.ts';

/** An answer that Go's decoder, or the code behind it, refuses: the call has failed. */
export class ExtenderError extends Error {
  override readonly name = 'ExtenderError';
}

/** A mistake on which the real kube-scheduler dereferences nil and exits. */
export class SchedulerPanic extends Error {
  override readonly name = 'SchedulerPanic';
}

export interface FilterAnswer {
  /** Null: absent. */
  readonly nodeNames: readonly string[] | null;
  /** Names of the nodes in `Nodes.items`; null: absent. */
  readonly nodes: readonly string[] | null;
  readonly failedNodes: Readonly<Record<string, string>>;
  readonly failedAndUnresolvableNodes: Readonly<Record<string, string>>;
  readonly error: string;
}

/** One node of a preempt answer; null where the wire had null. */
export type MetaVictims = {
  readonly pods: readonly ({ readonly uid: string } | null)[];
  readonly numPdbViolations: number;
} | null;

export function filterAnswerOf(body: string): FilterAnswer {
  const result = structOf(decode(body));
  const nodes = member(result, 'Nodes');
  return {
    nodeNames: maybe(member(result, 'NodeNames'), (names) => listOf(names).map(textOf)),
    nodes: maybe(nodes, (list) =>
      listOf(member(structOf(list), 'items')).map((node) =>
        textOf(member(structOf(member(structOf(node), 'metadata')), 'name')),
      ),
    ),
    failedNodes: textMapOf(member(result, 'FailedNodes')),
    failedAndUnresolvableNodes: textMapOf(member(result, 'FailedAndUnresolvableNodes')),
    error: textOf(member(result, 'Error')),
  };
}

export function prioritizeAnswerOf(body: string): readonly { readonly host: string; readonly score: number }[] {
  return listOf(decode(body)).map((entry) => ({
    host: textOf(member(structOf(entry), 'Host')),
    score: integerOf(member(structOf(entry), 'Score')),
  }));
}

export function preemptAnswerOf(body: string): ReadonlyMap<string, MetaVictims> {
  const nodes = structOf(member(structOf(decode(body)), 'NodeNameToMetaVictims'));
  return new Map(
    Object.entries(nodes).map(([name, victims]) => [
      name,
      maybe(victims, (value) => ({
        pods: listOf(member(structOf(value), 'Pods')).map((pod) =>
          maybe(pod, (value) => ({ uid: textOf(member(structOf(value), 'UID')) })),
        ),
        numPdbViolations: integerOf(member(structOf(value), 'NumPDBViolations')),
      })),
    ]),
  );
}

function decode(body: string): unknown {
  if (body.trim() === '') throw new ExtenderError('EOF');
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new ExtenderError(messageOf(error), { cause: error });
  }
}

/** `encoding/json` takes keys in any case. */
function member(struct: Readonly<JsonRecord>, name: string): unknown {
  if (Object.hasOwn(struct, name)) return struct[name];
  const lower = name.toLowerCase();
  const key = Object.keys(struct).find((other) => other.toLowerCase() === lower);
  return key === undefined ? undefined : struct[key];
}

// Null and absent are the zero value; any other type than the Go one is an error.

function maybe<T>(value: unknown, decode: (value: unknown) => T): T | null {
  return value === undefined || value === null ? null : decode(value);
}

function structOf(value: unknown): Readonly<JsonRecord> {
  if (value === undefined || value === null) return {};
  if (!isRecord(value)) throw mismatch(value, 'object');
  return value;
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw mismatch(value, 'array');
  return value;
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw mismatch(value, 'string');
  return value;
}

function integerOf(value: unknown): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== 'number' || !Number.isInteger(value)) throw mismatch(value, 'int64');
  return value;
}

function textMapOf(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(structOf(value)).map(([key, text]) => [key, textOf(text)]));
}

function mismatch(value: unknown, wanted: string): ExtenderError {
  const got = Array.isArray(value) ? 'array' : typeof value;
  return new ExtenderError(`json: cannot unmarshal ${got} into Go value of type ${wanted}`);
}
