import { controllerOf } from '../../kube/project/metadata.ts';
import { isMember, NO_FIELDS, type FieldSet } from '../../kube/project/field-sets.ts';
import { RESOURCES, type ResourceType } from '../../kube/resources.ts';
import type { ManagedFields } from '../../kube/transport.ts';
import { timestampOf, type Draft, type StoredObject } from './api-object.ts';
import { isRecord } from './json.ts';

/** Who writes, and through what. */
export interface Writer {
  readonly manager: string;
  readonly subresource: 'status' | null;
  readonly nowMs: number;
}

/** Lists of pods whose items have keys (`x-kubernetes-list-map-keys`); other lists are owned as a whole. */
const ITEM_KEYS: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  volumes: ['name'],
  env: ['name'],
  ports: ['containerPort', 'protocol'],
  volumeMounts: ['mountPath'],
  imagePullSecrets: ['name'],
  schedulingGates: ['name'],
  ownerReferences: ['uid'],
};
const SETS = new Set(['finalizers']);
const WHOLE = new Set(['nodeSelector']);
const SEPARATOR = '\u0000'; // in no name of a field

/**
 * `metadata.managedFields`, as far as Reprieve reads them: of pods without a controller, and without their status. Each field
 * belongs to who set or changed it last; a CREATE is recorded before admission changes the object.
 */
export function isTracked(type: ResourceType, draft: Draft): boolean {
  return type === RESOURCES.pods && controllerOf(draft) === null;
}

/** Of a new object, as it was sent, with its defaults. */
export function managedOnCreate(sent: Draft, writer: Writer): readonly ManagedFields[] {
  return [entryOf(writer, setOf(pathsIn(sent, writer).keys()))];
}

/** After a write. Entries that the client sends count; without any, those that the object had. */
export function managedOnUpdate(old: StoredObject, wanted: Draft, writer: Writer): readonly ManagedFields[] {
  const sent = wanted.metadata.managedFields ?? [];
  const entries = sent.length > 0 ? sent : (old.metadata.managedFields ?? []);
  const [before, after] = [pathsIn(old, writer), pathsIn(wanted, writer)];
  const set = new Set([...after].filter(([path, value]) => before.get(path) !== value).map(([path]) => path));
  const removed = new Set([...before.keys()].filter((path) => !after.has(path)));
  if (set.size + removed.size === 0) return entries;
  const isOwn = ({ manager, operation, subresource }: ManagedFields): boolean =>
    manager === writer.manager && operation === 'Update' && (subresource ?? null) === writer.subresource;
  const result = entries.flatMap((entry): readonly ManagedFields[] => {
    const had = pathsOf(entry.fieldsV1 as FieldSet);
    const left = [...had].filter((path) => !removed.has(path) && !set.has(path));
    if (isOwn(entry)) return [entryOf(writer, setOf([...left, ...set]))];
    if (left.length === had.size) return [entry];
    return left.length === 0 ? [] : [{ ...entry, fieldsV1: setOf(left) }];
  });
  return entries.some(isOwn) || set.size === 0 ? result : [...result, entryOf(writer, setOf(set))];
}

function entryOf({ manager, subresource, nowMs }: Writer, fieldsV1: FieldSet): ManagedFields {
  const time = timestampOf(nowMs);
  const entry = { manager, operation: 'Update', apiVersion: 'v1', time, fieldsType: 'FieldsV1', fieldsV1 } as const;
  return subresource === null ? entry : { ...entry, subresource };
}

/** Each field as a path, with its value where it is owned as a whole. A write to the status changes no spec. */
function pathsIn({ metadata, ...object }: Draft | StoredObject, { subresource }: Writer): Map<string, string> {
  const { generateName, labels, annotations, finalizers, ownerReferences } = metadata;
  const paths = new Map<string, string>();
  const collect = (value: unknown, name: string, path: string, isRoot: boolean): void => {
    if (value === undefined || value === null) return;
    const children = childrenOf(value, name);
    if (!isRoot) paths.set(path, children === null ? JSON.stringify(value) : '');
    for (const [element, child] of children ?? []) {
      const isContainers = element === 'f:containers';
      collect(child, element.startsWith('f:') ? element.slice(2) : '', path + SEPARATOR + element, isContainers);
    }
  };
  collect({ generateName, labels, annotations, finalizers, ownerReferences }, 'metadata', 'f:metadata', true);
  if (subresource === null) collect(object['spec'], 'spec', 'f:spec', true);
  return paths;
}

/** The parts of a value that have owners of their own; null where the value is owned as a whole. */
function childrenOf(value: unknown, name: string): readonly (readonly [element: string, value: unknown])[] | null {
  if (Array.isArray(value)) {
    if (SETS.has(name)) return value.map((item) => [`v:${JSON.stringify(item)}`, item]);
    const keys = ITEM_KEYS[name];
    if (keys === undefined) return null;
    return value.filter(isRecord).map((item) => {
      const key = Object.fromEntries(keys.flatMap((key) => (item[key] === undefined ? [] : [[key, item[key]]])));
      return [`k:${JSON.stringify(key)}`, item];
    });
  }
  if (!isRecord(value) || WHOLE.has(name) || Object.keys(value).length === 0) return null;
  return Object.entries(value).map(([key, member]) => [`f:${key}`, member]);
}

function pathsOf(set: FieldSet): Set<string> {
  const paths = new Set<string>();
  const collect = (at: FieldSet, path: string): void => {
    if (isMember(at)) paths.add(path);
    for (const [element, below] of Object.entries(at)) {
      if (element !== '.') collect(below, path === '' ? element : path + SEPARATOR + element);
    }
  };
  collect(set, '');
  return paths;
}

function setOf(paths: Iterable<string>): FieldSet {
  const root: MutableSet = {};
  for (const path of paths) {
    let at = root;
    for (const element of path.split(SEPARATOR)) at = at[element] ??= {};
    at['.'] = {};
  }
  return compact(root);
}

interface MutableSet {
  [element: string]: MutableSet;
}

/** A path that is in the set, and nothing below it: an empty object. */
function compact(set: MutableSet): FieldSet {
  const elements = Object.entries(set);
  if (elements.length === 1 && '.' in set) return NO_FIELDS;
  return Object.fromEntries(elements.map(([element, below]) => [element, compact(below)]));
}
