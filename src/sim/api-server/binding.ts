import { RESOURCES } from '../../kube/resources.ts';
import type { StoredObject } from './api-object.ts';
import { listAt, recordAt, textAt } from './json.ts';
import type { ObjectStore } from './object-store.ts';
import { withPodCondition } from './pod-defaults.ts';
import { badRequest, conflict, invalid } from './status-error.ts';
import { overwrite } from './writes.ts';

/** POST to `pods/<name>/binding`, the scheduler's verdict. */
export function bindPod(store: ObjectStore, pod: StoredObject, binding: unknown, nowMs: number): void {
  const type = RESOURCES.pods;
  const { name } = pod.metadata;
  const meta = recordAt(binding, 'metadata');
  const target = recordAt(binding, 'target');
  if (textAt(meta, 'name') !== name) throw badRequest('name in URL does not match name in Binding object');
  const node = textAt(target, 'name');
  if (node === '') {
    throw invalid({ group: '', kind: 'Binding' }, name, [{ field: 'target.name', type: 'Required value' }]);
  }
  // Both are preconditions here, unlike in the metadata of an ordinary create.
  const [uid, version] = [textAt(meta, 'uid'), textAt(meta, 'resourceVersion')];
  if (uid !== '' && uid !== pod.metadata.uid) {
    throw conflict(
      type,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${pod.metadata.uid}`,
    );
  }
  if (version !== '' && version !== pod.metadata.resourceVersion) {
    const why = `Precondition failed: ResourceVersion in precondition: ${version}, ResourceVersion in object meta: ${pod.metadata.resourceVersion}`;
    throw conflict(type, name, why);
  }
  const why = refusal(pod);
  if (why !== null) throw conflict({ ...type, plural: 'pods/binding' }, name, why);

  // 1.35 and later: a nomination has done its work once the pod is bound.
  const { nominatedNodeName: _, ...status } = recordAt(pod, 'status');
  overwrite({ store, type, hooks: {}, nowMs }, pod, {
    spec: { nodeName: node },
    status: withPodCondition(status, { type: 'PodScheduled', status: 'True' }, nowMs),
    annotations: meta['annotations'],
    labels: meta['labels'],
  });
}

function refusal(pod: StoredObject): string | null {
  const { name, deletionTimestamp } = pod.metadata;
  const spec = recordAt(pod, 'spec');
  if (deletionTimestamp !== undefined) return `pod ${name} is being deleted, cannot be assigned to a host`;
  const node = textAt(spec, 'nodeName');
  if (node !== '') return `pod ${name} is already assigned to node "${node}"`;
  if (listAt(spec, 'schedulingGates').length > 0) return `pod ${name} has non-empty .spec.schedulingGates`;
  return null;
}
