import type { Draft, StoredObject } from './api-object.ts';
import { isRecord, listAt, recordAt, semanticallySame, textAt, type JsonRecord } from './json.ts';
import { affinityErrors, nodeSelectorErrors } from './pod-affinity-validation.ts';
import type { FieldError } from './status-error.ts';

const UPDATABLE = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',');

/** The part of `ValidatePodCreate` that does not need the semantics of every field. */
export function podCreateErrors(draft: Draft): readonly FieldError[] {
  const spec = recordAt(draft, 'spec');
  const errors: FieldError[] = gateErrors(spec);
  const containers = listAt(spec, 'containers');
  if (containers.length === 0) errors.push({ field: 'spec.containers', type: 'Required value' });
  const names = new Set<string>();
  for (const [i, container] of containers.entries()) {
    const name = textAt(container, 'name');
    if (name === '') errors.push({ field: `spec.containers[${i}].name`, type: 'Required value' });
    else if (names.has(name))
      errors.push({ field: `spec.containers[${i}].name`, type: 'Duplicate value', value: name });
    names.add(name);
    if (textAt(container, 'image') === '')
      errors.push({ field: `spec.containers[${i}].image`, type: 'Required value' });
  }
  return errors;
}

/** `ValidatePodUpdate`: hardly anything of a pod's spec may change; a gated pod may be narrowed to fewer nodes. */
export function podUpdateErrors(draft: Draft, old: StoredObject): readonly FieldError[] {
  const spec = recordAt(draft, 'spec');
  const oldSpec = recordAt(old, 'spec');
  if (semanticallySame(spec, oldSpec)) return [];
  const errors = gateErrors(spec);
  for (const list of ['containers', 'initContainers'] as const) {
    if (listAt(spec, list).length !== listAt(oldSpec, list).length) {
      return [{ field: `spec.${list}`, type: 'Forbidden', detail: 'pod updates may not add or remove containers' }];
    }
  }
  errors.push(...deadlineErrors(spec, oldSpec), ...tolerationErrors(spec, oldSpec), ...addedGateErrors(spec, oldSpec));

  // What may change is put back; if the rest then differs, something changed that may not.
  const munged: JsonRecord = {
    ...spec,
    containers: withOldImages(listAt(spec, 'containers'), listAt(oldSpec, 'containers')),
    initContainers: withOldImages(listAt(spec, 'initContainers'), listAt(oldSpec, 'initContainers')),
    activeDeadlineSeconds: oldSpec['activeDeadlineSeconds'],
    schedulingGates: oldSpec['schedulingGates'],
    tolerations: oldSpec['tolerations'],
  };
  if (listAt(oldSpec, 'schedulingGates').length > 0) {
    errors.push(...nodeSelectorErrors(spec, oldSpec), ...affinityErrors(spec, oldSpec));
    munged['nodeSelector'] = oldSpec['nodeSelector'];
    munged['affinity'] = withNodeAffinityOf(oldSpec, spec);
  }
  if (!semanticallySame(munged, oldSpec)) {
    const changed = Object.keys({ ...munged, ...oldSpec }).filter(
      (key) => !semanticallySame(munged[key], oldSpec[key]),
    );
    const detail = `pod updates may not change fields other than ${UPDATABLE}\n(changed: ${changed.join(', ')})`;
    errors.push({ field: 'spec', type: 'Forbidden', detail });
  }
  return errors;
}

/** `ValidatePodStatusUpdate`, where our code relies on it. */
export function podStatusErrors(draft: Draft, old: StoredObject): readonly FieldError[] {
  const errors: FieldError[] = [];
  const [status, oldStatus] = [recordAt(draft, 'status'), recordAt(old, 'status')];
  const nominated = textAt(status, 'nominatedNodeName');
  const isNewNomination = nominated !== '' && nominated !== textAt(oldStatus, 'nominatedNodeName');
  if (isNewNomination && textAt(old['spec'], 'nodeName') !== '') {
    const detail = 'may not be set on pods that are already bound to a node';
    errors.push({ field: 'status.nominatedNodeName', type: 'Forbidden', detail });
  }
  if (isNewNomination && !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(nominated)) {
    errors.push({ field: 'status.nominatedNodeName', type: 'Invalid value', value: nominated });
  }
  const qosClass = textAt(status, 'qosClass');
  if (qosClass === '') draft['status'] = { ...status, qosClass: oldStatus['qosClass'] };
  else if (qosClass !== textAt(oldStatus, 'qosClass')) {
    errors.push({ field: 'status.qosClass', type: 'Invalid value', value: qosClass, detail: 'field is immutable' });
  }
  return errors;
}

/** What `spec` says of pods near to which it wants to be, with what `oldSpec` says of nodes. */
function withNodeAffinityOf(oldSpec: Readonly<JsonRecord>, spec: Readonly<JsonRecord>): JsonRecord {
  const affinity: JsonRecord = { ...recordAt(spec, 'affinity') };
  delete affinity['nodeAffinity'];
  const old = recordAt(oldSpec, 'affinity')['nodeAffinity'];
  return old === undefined ? affinity : { ...affinity, nodeAffinity: old };
}

function gateErrors(spec: Readonly<JsonRecord>): FieldError[] {
  const errors: FieldError[] = [];
  const gates = listAt(spec, 'schedulingGates').map((gate) => textAt(gate, 'name'));
  if (gates.length > 0 && textAt(spec, 'nodeName') !== '') {
    const detail = 'cannot be set until all schedulingGates have been cleared';
    errors.push({ field: 'spec.nodeName', type: 'Forbidden', detail });
  }
  for (const [i, gate] of gates.entries()) {
    if (gate === '') errors.push({ field: `spec.schedulingGates[${i}]`, type: 'Invalid value', value: gate });
    if (gates.indexOf(gate) < i) {
      errors.push({ field: `spec.schedulingGates[${i}]`, type: 'Duplicate value', value: gate });
    }
  }
  return errors;
}

function addedGateErrors(spec: Readonly<JsonRecord>, oldSpec: Readonly<JsonRecord>): FieldError[] {
  const known = new Set(listAt(oldSpec, 'schedulingGates').map((gate) => textAt(gate, 'name')));
  return listAt(spec, 'schedulingGates').flatMap((gate, i): FieldError[] => {
    const name = textAt(gate, 'name');
    if (known.has(name)) return [];
    const detail = `only deletion is allowed, but found new scheduling gate '${name}'`;
    return [{ field: `spec.schedulingGates[${i}].name`, type: 'Forbidden', detail }];
  });
}

function tolerationErrors(spec: Readonly<JsonRecord>, oldSpec: Readonly<JsonRecord>): FieldError[] {
  const bare = (toleration: unknown): unknown =>
    isRecord(toleration) ? { ...toleration, tolerationSeconds: null } : toleration;
  const kept = listAt(spec, 'tolerations').map(bare);
  const isMissing = listAt(oldSpec, 'tolerations').some(
    (old) => !kept.some((next) => semanticallySame(next, bare(old))),
  );
  if (!isMissing) return [];
  const detail = 'existing toleration can not be modified except its tolerationSeconds';
  return [{ field: 'spec.tolerations', type: 'Forbidden', detail }];
}

function deadlineErrors(spec: Readonly<JsonRecord>, oldSpec: Readonly<JsonRecord>): FieldError[] {
  const [value, old] = [spec['activeDeadlineSeconds'], oldSpec['activeDeadlineSeconds']];
  if (typeof old !== 'number') return [];
  const field = 'spec.activeDeadlineSeconds';
  if (typeof value !== 'number') {
    return [{ field, type: 'Invalid value', detail: 'must not update from a positive integer to nil value' }];
  }
  if (value <= old) return [];
  return [{ field, type: 'Invalid value', value, detail: 'must be less than or equal to previous value' }];
}

function withOldImages(containers: readonly unknown[], old: readonly unknown[]): readonly unknown[] {
  return containers.map((container, i) =>
    isRecord(container) ? { ...container, image: isRecord(old[i]) ? old[i]['image'] : undefined } : container,
  );
}
