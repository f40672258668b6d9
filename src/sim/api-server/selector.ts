import { isRecord, listAt, recordAt } from './json.ts';
import { badRequest } from './status-error.ts';

type Labels = Readonly<Record<string, string>>;

/** One term of a label selector. */
export interface Requirement {
  readonly key: string;
  readonly operator: 'in' | 'notin' | 'exists' | 'absent' | 'gt' | 'lt';
  readonly values: readonly string[];
}

const TOKEN = /\s*(?:(notin|in)(?=[\s(])|([()]|,|==|!=|=|!|<|>)|([^\s(),=!<>]+))/y;

/**
 * Parses the string form of a label selector, equality and set based.
 *
 * @example parseLabelSelector('app=web,tier!=db,zone in (a,b),!legacy')
 */
export function parseLabelSelector(text: string): readonly Requirement[] {
  const tokens = tokensOf(text);
  const requirements: Requirement[] = [];
  let at = 0;
  const take = (): string => tokens[at++] ?? '';
  const fail = (): never => {
    throw badRequest(`unable to parse requirement: found '${tokens[at - 1] ?? ''}' in "${text}"`);
  };
  const word = (): string => {
    const token = take();
    return token === '' || /^[(),=!<>]/.test(token) ? fail() : token;
  };
  while (at < tokens.length) {
    requirements.push(requirement());
    if (at < tokens.length && take() !== ',') fail();
  }
  return requirements;

  function requirement(): Requirement {
    if (tokens[at] === '!') {
      at++;
      return { key: word(), operator: 'absent', values: [] };
    }
    const key = word();
    if (at >= tokens.length || tokens[at] === ',') return { key, operator: 'exists', values: [] };
    const operator = take();
    if (operator === 'in' || operator === 'notin') return { key, operator, values: set() };
    if (operator === '=' || operator === '==') return { key, operator: 'in', values: [value()] };
    if (operator === '!=') return { key, operator: 'notin', values: [value()] };
    if (operator === '>' || operator === '<')
      return { key, operator: operator === '>' ? 'gt' : 'lt', values: [word()] };
    return fail();
  }

  function value(): string {
    return at >= tokens.length || tokens[at] === ',' ? '' : word(); // `a=` asks for the empty value
  }

  function set(): readonly string[] {
    if (take() !== '(') fail();
    const values: string[] = [];
    while (tokens[at] !== ')') {
      values.push(tokens[at] === ',' ? '' : word());
      if (tokens[at] === ',') at++;
      else if (tokens[at] !== ')') {
        at++;
        fail();
      }
    }
    at++;
    return values;
  }
}

/** The terms of a `LabelSelector` object; null, which matches nothing, where there is none. */
export function requirementsOf(selector: unknown): readonly Requirement[] | null {
  if (!isRecord(selector)) return null;
  const requirements: Requirement[] = Object.entries(recordAt(selector, 'matchLabels')).map(([key, value]) => ({
    key,
    operator: 'in',
    values: [String(value)],
  }));
  for (const expression of listAt(selector, 'matchExpressions')) {
    if (!isRecord(expression)) continue;
    const operator = OPERATORS[String(expression['operator'])];
    if (operator === undefined) return null;
    requirements.push({ key: String(expression['key']), operator, values: listAt(expression, 'values').map(String) });
  }
  return requirements;
}

const OPERATORS: Readonly<Record<string, Requirement['operator']>> = {
  In: 'in',
  NotIn: 'notin',
  Exists: 'exists',
  DoesNotExist: 'absent',
};

/** A label that is absent satisfies `!=` and `notin`, as in Kubernetes. */
export function matchesLabels(requirements: readonly Requirement[], labels: Labels | undefined): boolean {
  return requirements.every(({ key, operator, values }) => SATISFIED[operator](labels?.[key], values));
}

const SATISFIED: Readonly<
  Record<Requirement['operator'], (value: string | undefined, values: readonly string[]) => boolean>
> = {
  in: (value, values) => value !== undefined && values.includes(value),
  notin: (value, values) => value === undefined || !values.includes(value),
  exists: (value) => value !== undefined,
  absent: (value) => value === undefined,
  gt: (value, values) => value !== undefined && Number(value) > Number(values[0]),
  lt: (value, values) => value !== undefined && Number(value) < Number(values[0]),
};

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  const pattern = new RegExp(TOKEN);
  const end = text.trimEnd().length;
  while (pattern.lastIndex < end) {
    const match = pattern.exec(text);
    if (match === null) throw badRequest(`unable to parse requirement: "${text}"`);
    tokens.push(match[1] ?? match[2] ?? match[3] ?? '');
  }
  return tokens;
}
