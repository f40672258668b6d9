import { selects, type LabelRequirement, type LabelSelector } from './selector.ts';

/** `prefix/name` with an optional DNS prefix, as the API server admits it for a label. */
const LABEL_KEY =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

/**
 * Why no object can ever carry labels that `selector` selects: the key whose requirements exclude each other, or that the
 * API server would not store. Null where some object could. Exact for the operators of a label selector; of `Gt` and `Lt`,
 * which only node selectors have, it never says no.
 */
export function impossibleKey(selector: LabelSelector): string | null {
  const byKey = new Map<string, LabelRequirement[]>(); // label -> what is asked of it
  for (const requirement of selector.requirements) {
    const asked = byKey.get(requirement.key);
    if (asked === undefined) byKey.set(requirement.key, [requirement]);
    else asked.push(requirement);
  }
  for (const [key, requirements] of byKey) if (!isPossible(key, requirements)) return key;
  return null;
}

/** Tries one label set of each sort that the requirements tell apart: without the key, and with each value that matters. */
function isPossible(key: string, requirements: readonly LabelRequirement[]): boolean {
  if (selects({ requirements }, {})) return true;
  if (!LABEL_KEY.test(key)) return false;
  if (requirements.some(({ operator }) => operator === 'Gt' || operator === 'Lt')) return true;
  const included = requirements.find(({ operator }) => operator === 'In');
  const witnesses = included?.values ?? [valueOutside(requirements)];
  return witnesses.some((value) => LABEL_VALUE.test(value) && selects({ requirements }, { [key]: value }));
}

/** A value that no requirement names. */
function valueOutside(requirements: readonly LabelRequirement[]): string {
  const named = new Set(requirements.flatMap(({ values }) => values));
  for (let number = 0; ; number++) if (!named.has(String(number))) return String(number);
}
