import { apiVersionOf, type ResourceType } from '../../kube/resources.ts';
import type { StoredObject } from './api-object.ts';
import { keyOf, type Collection } from './collection.ts';
import { matchesFields, parseFieldSelector, type FieldRequirement } from './field-selector.ts';
import { matchesLabels, parseLabelSelector, type Requirement } from './selector.ts';
import { badRequest, expired } from './status-error.ts';
import { isCustom } from './strategy.ts';

type Query = Readonly<Record<string, string>>;

/** What a list or a watch is about. */
export interface Selection {
  readonly namespace: string | null;
  readonly labels: readonly Requirement[];
  readonly fields: readonly FieldRequirement[];
}

export function selectionOf(type: ResourceType, namespace: string | null, query: Query): Selection {
  return {
    namespace,
    labels: parseLabelSelector(query['labelSelector'] ?? ''),
    fields: parseFieldSelector(query['fieldSelector'] ?? '', type),
  };
}

export function isSelected(selection: Selection, object: StoredObject): boolean {
  return (
    (selection.namespace === null || object.metadata.namespace === selection.namespace) &&
    matchesFields(selection.fields, object) &&
    matchesLabels(selection.labels, object.metadata.labels)
  );
}

/** GET of a collection. A continued list shows the objects as they were when its first page was read. */
export function listObjects(collection: Collection, namespace: string | null, query: Query, version: number): unknown {
  const { type } = collection;
  const selection = selectionOf(type, namespace, query);
  const limit = Number(query['limit'] ?? 0);
  const token = query['continue'] ? tokenOf(query['continue']) : null;
  const isExact = query['resourceVersionMatch'] === 'Exact';
  const listVersion = token?.version ?? (isExact ? Number(query['resourceVersion']) : version);
  let objects: readonly StoredObject[] | null = collection.list(namespace);
  if (listVersion < version) objects = collection.listAt(listVersion, namespace);
  if (objects === null) {
    throw expired(
      token === null
        ? 'The resourceVersion for the provided list is too old.'
        : 'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.',
    );
  }
  let items = objects.filter((object) => isSelected(selection, object));
  if (token !== null) items = items.filter((object) => keyOf(object) > token.after);
  const metadata: Record<string, unknown> = { resourceVersion: String(listVersion) };
  if (limit > 0 && items.length > limit) {
    const page = items.slice(0, limit);
    metadata['continue'] = encodeToken({ version: listVersion, after: keyOf(page.at(-1) as StoredObject) });
    if (selection.labels.length + selection.fields.length === 0) metadata['remainingItemCount'] = items.length - limit;
    items = page;
  }
  return {
    kind: `${type.kind}List`,
    apiVersion: apiVersionOf(type),
    metadata,
    // Items of built-in kinds do not repeat what they are; custom resources do.
    items: isCustom(type) ? items : items.map(withoutType),
  };
}

interface Token {
  readonly version: number;
  readonly after: string;
}

function encodeToken(token: Token): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

function tokenOf(text: string): Token {
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as Partial<Token>;
    if (typeof token.version === 'number' && typeof token.after === 'string') return token as Token;
  } catch {
    // Not one of ours: answered below like one that was tampered with.
  }
  throw badRequest('continue key is not valid');
}

function withoutType(object: StoredObject): object {
  const item: Record<string, unknown> = {};
  for (const key of Object.keys(object)) if (key !== 'apiVersion' && key !== 'kind') item[key] = object[key];
  return Object.freeze(item);
}
