import type { ResourceType } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { isTracked, managedOnUpdate } from './field-managers.ts';
import { draftOf, timestampOf, type Draft, type StoredObject } from './api-object.ts';
import { isRecord, recordAt } from './json.ts';
import { metadataErrors, metadataUpdateErrors } from './metadata-validation.ts';
import { normalise } from './normalise.ts';
import type { ObjectStore } from './object-store.ts';
import type { ServerHooks } from './server-options.ts';
import { alreadyExists, conflict, invalid, OPTIMISTIC_LOCK_MESSAGE } from './status-error.ts';
import { changesGeneration, strategyOf } from './strategy.ts';

interface WriteContext {
  readonly store: ObjectStore;
  readonly type: ResourceType;
  readonly hooks: ServerHooks;
  readonly nowMs: number;
  /** As `managedFields` names who writes; absent for the server itself, which leaves them alone. */
  readonly manager?: string;
  /** Everything but the write. */
  readonly dryRun?: boolean;
}

/** `rest.BeforeCreate` and the write. The draft has its name, namespace and UID. */
export function createObject(context: WriteContext, draft: Draft): StoredObject {
  const { store, type, nowMs } = context;
  const strategy = strategyOf(type);
  strategy.initStatus(draft, nowMs);
  if (strategy.generation === 'none') delete draft.metadata.generation;
  else draft.metadata.generation = 1;
  draft.metadata.creationTimestamp = timestampOf(nowMs);
  const errors = [...metadataErrors(draft), ...strategy.createErrors(draft)];
  if (errors.length > 0) throw invalid(type, draft.metadata.name, errors);
  checkHook(context, normalise(type, draft), null);
  const existing = store.collection(type).get(draft.metadata.namespace ?? null, draft.metadata.name);
  if (existing !== undefined) {
    throw alreadyExists(type, draft.metadata.name, existing.metadata.deletionTimestamp !== undefined);
  }
  return context.dryRun === true ? store.sealed(type, draft) : store.create(type, draft);
}

/**
 * `Store.Update`: the optimistic lock, the separation of status, what may not change, and the removal of an object that
 * only its finalizers still held.
 */
export function updateObject(context: WriteContext, old: StoredObject, wanted: Draft, isStatus: boolean): StoredObject {
  const { store, type } = context;
  const strategy = strategyOf(type);
  checkLock(type, old, wanted);
  let draft = wanted;
  strategy.applyDefaults(draft);
  if (isStatus) draft = strategy.keepForStatus(draft, old);
  else if (strategy.hasStatus) keepStatus(draft, old);
  keepSystemFields(draft, old);

  draft = normalise(type, draft);
  keepManagers(context, draft, old, isStatus);
  if (!isStatus && changesGeneration(strategy, draft, old)) {
    draft.metadata.generation = (old.metadata.generation ?? 0) + 1;
  }
  const errors = [
    ...metadataUpdateErrors(draft, old),
    ...metadataErrors(draft),
    ...(isStatus ? strategy.statusErrors(draft, old) : strategy.updateErrors(draft, old)),
  ];
  if (errors.length > 0) throw invalid(type, old.metadata.name, errors);
  checkHook(context, draft, old);

  if (isReleased(draft, old)) {
    // Watchers see the object as it was stored, with the finalizer; the writer gets what it wrote.
    store.remove(type, old);
    return draft as unknown as StoredObject;
  }
  return store.update(type, old, draft);
}

function checkLock(type: ResourceType, old: StoredObject, { metadata }: Draft): void {
  const version = metadata.resourceVersion ?? '';
  if (version !== '' && version !== old.metadata.resourceVersion) {
    throw conflict(type, old.metadata.name, OPTIMISTIC_LOCK_MESSAGE);
  }
  if (version === '' && !strategyOf(type).updatesUnconditionally) {
    throw invalid(type, old.metadata.name, [
      { field: 'metadata.resourceVersion', type: 'Invalid value', value: 0, detail: 'must be specified for an update' },
    ]);
  }
}

function keepStatus(draft: Draft, old: StoredObject): void {
  if (old['status'] === undefined) delete draft['status'];
  else draft['status'] = old['status'];
}

function keepManagers(
  { type, manager, nowMs }: WriteContext,
  draft: Draft,
  old: StoredObject,
  isStatus: boolean,
): void {
  if (manager === undefined || !isTracked(type, draft)) return;
  draft.metadata.managedFields = managedOnUpdate(old, draft, {
    manager,
    subresource: isStatus ? 'status' : null,
    nowMs,
  });
}

/** `rest.BeforeUpdate`: what clients send back of these, or leave out, does not count. */
function keepSystemFields(draft: Draft, old: StoredObject): void {
  const { metadata } = draft;
  if (old.metadata.generation === undefined) delete metadata.generation;
  else metadata.generation = old.metadata.generation;
  metadata.uid ||= old.metadata.uid;
  metadata.resourceVersion = old.metadata.resourceVersion;
  if (old.metadata.creationTimestamp !== undefined) metadata.creationTimestamp = old.metadata.creationTimestamp;
  if (old.metadata.namespace !== undefined) metadata.namespace ??= old.metadata.namespace;
  if (old.metadata.deletionTimestamp === undefined) return;
  metadata.deletionTimestamp = old.metadata.deletionTimestamp;
  if (old.metadata.deletionGracePeriodSeconds !== undefined) {
    metadata.deletionGracePeriodSeconds ??= old.metadata.deletionGracePeriodSeconds;
  }
}

/** `ShouldDeleteDuringUpdate`: the last finalizer went, and nothing else holds the object. */
function isReleased(draft: Draft, old: StoredObject): boolean {
  if ((draft.metadata.finalizers ?? []).length > 0 || old.metadata.deletionTimestamp === undefined) return false;
  return (old.metadata.deletionGracePeriodSeconds ?? 0) === 0;
}

function checkHook({ hooks, type }: WriteContext, object: KubeObject, old: StoredObject | null): void {
  const why = hooks.validate?.(type, object, old) ?? null;
  if (why === null) return;
  throw invalid(type, object.metadata.name, [{ field: '<nil>', type: 'Invalid value', detail: why }]);
}

/** Writes fields of a stored object past the rules of its kind: what the server itself does to it. */
export function overwrite(
  context: WriteContext,
  old: StoredObject,
  change: {
    readonly spec?: object;
    readonly status?: object;
    readonly annotations?: unknown;
    readonly labels?: unknown;
  },
): StoredObject {
  const draft = draftOf(old);
  if (change.spec !== undefined) draft['spec'] = { ...recordAt(draft, 'spec'), ...change.spec };
  if (change.status !== undefined) draft['status'] = change.status;
  for (const name of ['annotations', 'labels'] as const) {
    if (isRecord(change[name]))
      draft.metadata[name] = { ...draft.metadata[name], ...change[name] } as Record<string, string>;
  }
  return context.store.update(context.type, old, draft);
}
