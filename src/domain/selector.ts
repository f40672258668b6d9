/** A Kubernetes label selector, parsed. Empty requirements select everything. */
export interface LabelSelector {
  readonly requirements: readonly LabelRequirement[];
}

export interface LabelRequirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  readonly values: readonly string[];
}

/** True when all requirements hold. `NotIn` holds for an absent key, as in Kubernetes. */
export function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  for (const requirement of selector.requirements) if (!holds(requirement, labels)) return false;
  return true;
}

function holds({ key, operator, values }: LabelRequirement, labels: Readonly<Record<string, string>>): boolean {
  // `constructor` is a legal label key, and a property of every object.
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return compareIntegers(value, values[0]) > 0;
    case 'Lt':
      return compareIntegers(value, values[0]) < 0;
    default:
      return operator satisfies never;
  }
}

/** NaN where one of them is not a 64-bit integer: Kubernetes then says that neither `Gt` nor `Lt` holds. */
function compareIntegers(a: string | undefined, b: string | undefined): number {
  const left = integerOf(a);
  const right = integerOf(b);
  if (left === null || right === null) return Number.NaN;
  return left > right ? 1 : left < right ? -1 : 0;
}

/** Stricter than `Number`, which takes `""`, `1.5` and `0x10`; a BigInt, since 64 bits do not fit into a number. */
function integerOf(text: string | undefined): bigint | null {
  if (text === undefined || !/^[+-]?\d{1,63}$/.test(text)) return null;
  const value = BigInt(text);
  return BigInt.asIntN(64, value) === value ? value : null;
}

/** A label selector that the API server would not have stored. */
class SelectorError extends Error {
  override readonly name = 'SelectorError';
}

const OPERATORS: ReadonlySet<string> = new Set(['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt']);

/**
 * Parses `{matchLabels, matchExpressions}`. Absent and null parts are empty, and an empty selector selects everything;
 * whether an absent selector selects nothing is the caller's to say.
 */
export function selectorOf(json: unknown): LabelSelector {
  const { matchLabels, matchExpressions } = (json ?? {}) as { matchLabels?: unknown; matchExpressions?: unknown };
  const requirements: LabelRequirement[] = [];
  for (const [key, value] of Object.entries((matchLabels ?? {}) as Record<string, unknown>)) {
    requirements.push({ key, operator: 'In', values: [String(value)] });
  }
  for (const expression of listOf('matchExpressions', matchExpressions)) {
    const { key, operator, values } = (expression ?? {}) as Record<keyof LabelRequirement, unknown>;
    if (typeof key !== 'string') throw new SelectorError('a match expression has no key');
    if (!isOperator(operator)) throw new SelectorError(`unknown operator "${String(operator)}" for label "${key}"`);
    requirements.push({ key, operator, values: listOf(`values of label "${key}"`, values).map(String) });
  }
  return { requirements };
}

function isOperator(value: unknown): value is LabelRequirement['operator'] {
  return typeof value === 'string' && OPERATORS.has(value);
}

function listOf(what: string, json: unknown): readonly unknown[] {
  if (json === undefined || json === null) return [];
  if (!Array.isArray(json)) throw new SelectorError(`${what} must be a list`);
  return json;
}
