import type { ResourceType } from '../../kube/resources.ts';
import type { PatchType } from '../../kube/transport.ts';
import type { Draft, StoredObject } from './api-object.ts';
import { isRecord } from './json.ts';
import { applyJsonPatch } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { badRequest, unsupportedPatch } from './status-error.ts';
import { applyStrategicPatch } from './strategic-patch.ts';
import { isCustom } from './strategy.ts';

/** The object as the patch wants it. `patch` must be the server's own copy: parts of it end up in the result. */
export function applyPatch(type: ResourceType, object: StoredObject, patchType: PatchType, patch: unknown): Draft {
  const result = patched(type, object, patchType, patch);
  if (!isRecord(result) || !isRecord(result['metadata'])) throw badRequest('the patch leaves no object behind');
  return { ...result, metadata: { ...result['metadata'] } } as unknown as Draft;
}

function patched(type: ResourceType, object: StoredObject, patchType: PatchType, patch: unknown): unknown {
  if (patchType === 'json') return applyJsonPatch(object, patch);
  if (patchType === 'strategic') {
    if (isCustom(type)) throw unsupportedPatch(['application/json-patch+json', 'application/merge-patch+json']);
    return applyStrategicPatch(object, patch);
  }
  if (!isRecord(patch)) throw badRequest('error decoding patch: a merge patch of an object is an object');
  return applyMergePatch(object, patch);
}
