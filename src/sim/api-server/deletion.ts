import type { ResourceType } from '../../kube/resources.ts';
import { draftOf, timestampOf, type Draft, type StoredObject } from './api-object.ts';
import { isRecord, recordAt, textAt } from './json.ts';
import type { ObjectStore } from './object-store.ts';
import { conflict } from './status-error.ts';
import { strategyOf } from './strategy.ts';

/** What a DELETE asks for, out of its body or its query. */
export interface DeleteOptions {
  readonly uid: string | null;
  readonly resourceVersion: string | null;
  readonly gracePeriodSeconds: number | null;
}

export function deleteOptionsOf(body: unknown, query: Readonly<Record<string, string>> = {}): DeleteOptions {
  const preconditions = recordAt(body, 'preconditions');
  const grace: unknown = isRecord(body) ? body['gracePeriodSeconds'] : query['gracePeriodSeconds'];
  const seconds = grace === undefined || grace === null ? null : Number(grace);
  return {
    uid: textAt(preconditions, 'uid') || null,
    resourceVersion: textAt(preconditions, 'resourceVersion') || null,
    // Below zero means one second: still graceful, so that the kubelet has the last word.
    gracePeriodSeconds: seconds !== null && seconds < 0 ? 1 : seconds,
  };
}

export function checkPreconditions(type: ResourceType, object: StoredObject, options: DeleteOptions): void {
  const { name, uid, resourceVersion } = object.metadata;
  if (options.uid !== null && options.uid !== uid) {
    const why = `the UID in the precondition (${options.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`;
    throw conflict(type, name, why);
  }
  if (options.resourceVersion !== null && options.resourceVersion !== resourceVersion) {
    const why = `the ResourceVersion in the precondition (${options.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`;
    throw conflict(type, name, why);
  }
}

/**
 * `Store.Delete` of k8s.io/apiserver. Three things hold an object back: a grace period that runs (pods), finalizers,
 * and a grace period that was already asked for and is not longer than the one asked for now.
 *
 * A pod that goes at once is still written once more first, with its deletionTimestamp and a grace period of 0: watchers
 * see MODIFIED, then DELETED. That is what the real server does.
 */
export function deleteObject(
  store: ObjectStore,
  type: ResourceType,
  object: StoredObject,
  options: DeleteOptions,
  nowMs: number,
): { readonly object: StoredObject; readonly isGone: boolean } {
  checkPreconditions(type, object, options);
  const draft = draftOf(object);
  const verdict = strategyOf(type).deletesGracefully ? beginGracefulDelete(draft, options, nowMs) : 'at-once';
  if (verdict === 'pending') return { object, isGone: false };

  const isHeld = (object.metadata.finalizers ?? []).length > 0;
  if (verdict === 'at-once') {
    if (!isHeld) return { object: store.remove(type, object), isGone: true };
    markAsDeleting(draft, nowMs);
    return { object: store.update(type, object, draft), isGone: false };
  }
  const updated = store.update(type, object, draft);
  if (isHeld || (updated.metadata.deletionGracePeriodSeconds ?? 0) > 0) return { object: updated, isGone: false };
  return { object: store.remove(type, updated), isGone: true };
}

/** `rest.BeforeDelete` with `CheckGracefulDelete` of the pod strategy. Changes the draft where it answers `graceful`. */
function beginGracefulDelete(draft: Draft, options: DeleteOptions, nowMs: number): 'graceful' | 'pending' | 'at-once' {
  const { metadata } = draft;
  if (metadata.deletionTimestamp !== undefined) {
    const current = metadata.deletionGracePeriodSeconds ?? 0;
    if (current === 0) return 'at-once';
    let period = options.gracePeriodSeconds;
    // A grace period can only be shortened.
    if (period === null || period >= current) return 'pending';
    const startedMs = Date.parse(metadata.deletionTimestamp) - current * 1000;
    let endsMs = startedMs + period * 1000;
    if (endsMs < nowMs) {
      endsMs = nowMs;
      if (period !== 0) period = 1;
    }
    metadata.deletionTimestamp = timestampOf(endsMs);
    metadata.deletionGracePeriodSeconds = period;
    return 'graceful';
  }
  const period = gracePeriodOf(draft, options);
  metadata.deletionTimestamp = timestampOf(nowMs + period * 1000);
  metadata.deletionGracePeriodSeconds = period;
  if (metadata.generation !== undefined) metadata.generation++;
  return 'graceful';
}

/** There is nothing to wait for where no kubelet runs the pod, or where it has already ended. */
function gracePeriodOf(pod: Draft, options: DeleteOptions): number {
  const spec = recordAt(pod, 'spec');
  const phase = textAt(recordAt(pod, 'status'), 'phase');
  if (textAt(spec, 'nodeName') === '' || phase === 'Succeeded' || phase === 'Failed') return 0;
  return options.gracePeriodSeconds ?? Number(spec['terminationGracePeriodSeconds'] ?? 0);
}

function markAsDeleting({ metadata }: Draft, nowMs: number): void {
  if (metadata.deletionTimestamp === undefined && metadata.generation !== undefined) metadata.generation++;
  if (metadata.deletionTimestamp === undefined || Date.parse(metadata.deletionTimestamp) > nowMs) {
    metadata.deletionTimestamp = timestampOf(nowMs);
  }
  metadata.deletionGracePeriodSeconds = 0;
}

/** The answer to a DELETE: pods and namespaces come back as they were last, of other kinds only the news that they went. */
export function deleteAnswer(type: ResourceType, result: { object: StoredObject; isGone: boolean }): unknown {
  if (!result.isGone || strategyOf(type).returnsDeleted) return result.object;
  const { name, uid } = result.object.metadata;
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name, ...(type.group !== '' && { group: type.group }), kind: type.plural, uid },
  };
}
