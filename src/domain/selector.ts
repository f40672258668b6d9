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
  const value = labels[key];
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
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
    default:
      return operator satisfies never;
  }
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
  for (const expression of (matchExpressions ?? []) as readonly Partial<LabelRequirement>[]) {
    const { key, operator, values } = expression;
    if (typeof key !== 'string' || operator === undefined || !OPERATORS.has(operator)) {
      throw new SelectorError(`unknown operator "${String(operator)}" for label "${String(key)}"`);
    }
    requirements.push({ key, operator, values: (values ?? []).map(String) });
  }
  return { requirements };
}
