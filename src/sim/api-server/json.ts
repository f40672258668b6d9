/** Values as they travel over the wire. */
export type JsonRecord = Record<string, unknown>;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The member `name` of `value` where both are there and the member is an object; an empty object otherwise. */
export function recordAt(value: unknown, name: string): Readonly<JsonRecord> {
  const member = isRecord(value) ? value[name] : undefined;
  return isRecord(member) ? member : {};
}

/** The member `name` of `value` where it is a list; an empty list otherwise. */
export function listAt(value: unknown, name: string): readonly unknown[] {
  const member = isRecord(value) ? value[name] : undefined;
  return Array.isArray(member) ? member : [];
}

/** The member `name` of `value` where it is a string; an empty string otherwise. */
export function textAt(value: unknown, name: string): string {
  const member = isRecord(value) ? value[name] : undefined;
  return typeof member === 'string' ? member : '';
}

/** A copy as a round trip through JSON makes it, so that no caller holds a reference into the store. */
export function copyJson<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => (item === undefined ? null : copyJson(item))) as T;
  if ('toJSON' in value && typeof value.toJSON === 'function') return value.toJSON() as T;
  const copy: JsonRecord = {};
  for (const [key, member] of Object.entries(value)) if (member !== undefined) copy[key] = copyJson(member);
  return copy as T;
}

/** Freezes a tree in place. A part that is frozen already came out of the store and is not walked again. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const member of Object.values(value)) deepFreeze(member);
  return value;
}

/** Removes null members, as decoding into a typed object does. Returns the same tree where there were none. */
export function withoutNulls<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    let copy: unknown[] | null = null;
    for (let i = 0; i < value.length; i++) {
      const item: unknown = withoutNulls(value[i] as unknown);
      if (item !== value[i]) (copy ??= [...(value as unknown[])])[i] = item;
    }
    return (copy ?? value) as T;
  }
  let copy: JsonRecord | null = null;
  for (const [key, member] of Object.entries(value)) {
    const next: unknown = withoutNulls(member as unknown);
    if (next === member && member !== null) continue;
    copy ??= { ...value } as JsonRecord;
    if (member === null) delete copy[key];
    else copy[key] = next;
  }
  return (copy ?? value) as T;
}

/** Equality of JSON values; the order of members does not count. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, i) => sameJson(item, b[i]));
  }
  if (Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameJson((a as JsonRecord)[key], (b as JsonRecord)[key]));
}

/** Equality that takes an absent, a null and an empty member for the same, as `apiequality.Semantic` does. */
export function semanticallySame(a: unknown, b: unknown): boolean {
  if (isEmpty(a) && isEmpty(b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, i) => semanticallySame(item, b[i]));
  }
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) if (!semanticallySame((a as JsonRecord)[key], (b as JsonRecord)[key])) return false;
  return true;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
