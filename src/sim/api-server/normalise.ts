import { API_GROUP, apiVersionOf, type ResourceType } from '../../kube/resources.ts';
import type { Draft } from './api-object.ts';
import { isRecord, withoutNulls, type JsonRecord } from './json.ts';

/** Fields that Go's `omitempty` leaves out when they are empty; an empty one would be a change where there is none. */
const OMITTED_WHEN_EMPTY: Readonly<Record<'metadata' | 'spec' | 'status', readonly string[]>> = {
  metadata: ['labels', 'annotations', 'finalizers', 'ownerReferences', 'managedFields', 'generateName', 'namespace'],
  spec: ['schedulingGates', 'tolerations', 'nodeSelector', 'nodeName', 'priorityClassName', 'taints', 'initContainers'],
  status: ['conditions', 'nominatedNodeName', 'containerStatuses', 'disruptedPods', 'reason', 'message'],
};

/** The form in which the real server would store an object: without nulls and without empty optional fields. */
export function normalise(type: ResourceType, draft: Draft): Draft {
  const object: JsonRecord = { ...withoutNulls(draft) };
  object['apiVersion'] = apiVersionOf(type);
  object['kind'] = type.kind;
  const parts = type.group === API_GROUP ? (['metadata'] as const) : (['metadata', 'spec', 'status'] as const);
  for (const part of parts) {
    const fields = object[part];
    if (isRecord(fields)) object[part] = withoutEmpty(fields, OMITTED_WHEN_EMPTY[part]);
  }
  object['metadata'] = { ...(object['metadata'] as JsonRecord) };
  return object as Draft;
}

function withoutEmpty(fields: JsonRecord, names: readonly string[]): JsonRecord {
  let copy: JsonRecord | null = null;
  for (const name of names) {
    const value = fields[name];
    const isEmpty = Array.isArray(value) ? value.length === 0 : isRecord(value) ? isEmptyRecord(value) : value === '';
    if (!isEmpty) continue;
    copy ??= { ...fields };
    delete copy[name];
  }
  return copy ?? fields;
}

function isEmptyRecord(value: JsonRecord): boolean {
  return Object.keys(value).length === 0;
}
