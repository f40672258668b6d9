import type { ManagedFields } from '../transport.ts';

/**
 * Sets of fields as `metadata.managedFields` writes them ("FieldsV1", sigs.k8s.io/structured-merge-diff/fieldpath): `f:<name>` is
 * a field of a struct or map, `k:<JSON of the key>` an item of a list by its key, `v:<JSON>` an item of a set. A path without
 * children, or with the child `.`, is in the set itself.
 */
export interface FieldSet {
  readonly [element: string]: FieldSet;
}

export const NO_FIELDS: FieldSet = {};

export function fieldsOf({ fieldsV1 }: ManagedFields): FieldSet {
  return isSet(fieldsV1) ? fieldsV1 : NO_FIELDS;
}

/** The part of a set below `path`; undefined where the set has nothing there. */
export function fieldsAt(set: FieldSet, ...path: readonly string[]): FieldSet | undefined {
  let at: FieldSet | undefined = set;
  for (const element of path) at = at?.[element];
  return at;
}

/** The path is in the set, and not only something below it. */
export function isMember(set: FieldSet): boolean {
  return isLeaf(set) || '.' in set;
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  const result: Record<string, FieldSet> = { ...a };
  for (const [element, below] of Object.entries(b)) {
    const present = result[element];
    result[element] = present === undefined ? below : unionBelow(present, below);
  }
  return result;
}

function unionBelow(a: FieldSet, b: FieldSet): FieldSet {
  if (isLeaf(a) && isLeaf(b)) return a;
  const both = union(a, b);
  return isMember(a) || isMember(b) ? { '.': NO_FIELDS, ...both } : both;
}

/** What `value` holds of the set. An item of a list is in it only as a whole item: a single field of another item is not. */
export function picked(value: unknown, set: FieldSet): unknown {
  if (isLeaf(set)) return value;
  if (Array.isArray(value)) return pickedItems(value, set);
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    const below = set[`f:${name}`];
    if (below !== undefined) result[name] = picked(member, below);
  }
  return result;
}

function pickedItems(items: readonly unknown[], set: FieldSet): readonly unknown[] {
  const keys = Object.entries(set).flatMap(([element, below]) => {
    const key = isMember(below) ? keyIn(element) : undefined;
    return key === undefined ? [] : [{ key, below }];
  });
  return items.flatMap((item) => {
    const match = keys.find(({ key }) => hasKey(item, key));
    if (match === undefined) return [];
    const part = picked(item, match.below);
    return [isRecord(part) && isRecord(match.key) ? { ...match.key, ...part } : part];
  });
}

/** The key or value that names an item of a list; undefined for any other element. */
function keyIn(element: string): unknown {
  if (!element.startsWith('k:') && !element.startsWith('v:')) return undefined;
  try {
    return JSON.parse(element.slice(2)) as unknown;
  } catch {
    return undefined;
  }
}

function hasKey(item: unknown, key: unknown): boolean {
  if (!isRecord(key)) return item === key;
  return isRecord(item) && Object.entries(key).every(([name, value]) => item[name] === value);
}

function isLeaf(set: FieldSet): boolean {
  for (const _ in set) return false;
  return true;
}

function isSet(value: unknown): value is FieldSet {
  return isRecord(value) && Object.values(value).every(isSet);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
