import type { V1StatefulSet } from '@kubernetes/client-node';
import { wireOf } from '../../kube/project/wire.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import {
  controllerRefOf,
  isActivePod,
  isDeleting,
  isReadyPod,
  isTerminalPod,
  ownedBy,
  podFromTemplate,
  splitKey,
  uidOf,
} from './objects.ts';
import { enqueueOwner, enqueueSelf, updateStatus, type Controller, type ControllerContext } from './pod-control.ts';
import { templateHash } from './template-hash.ts';
import { WorkQueue } from './work-queue.ts';

const REVISION_LABEL = 'controller-revision-hash';

/** Pods with ordinals. A name is used again only when the object that had it is gone. */
export function startStatefulSetController(context: ControllerContext): Controller {
  const { client, informers, podControl } = context;
  const queue = new WorkQueue(context, async (key) => {
    const { namespace, name } = splitKey(key);
    const set = informers.statefulSets.byName(namespace, name);
    if (set === null) return;
    const uid = uidOf(set);
    if (!isDeleting(set) && podControl.isUpToDate(uid)) await advance(set);
    const pods = informers.dependentsOf(uid);
    await updateStatus(client, RESOURCES.statefulSets, set, {
      replicas: pods.filter((pod) => !isTerminalPod(pod)).length,
      currentReplicas: pods.filter(isActivePod).length,
      readyReplicas: pods.filter((pod) => isActivePod(pod) && isReadyPod(pod)).length,
      observedGeneration: set.metadata.generation ?? 0,
    });
  });

  /** One pass over the ordinals; with OrderedReady it ends at the first that is not ready. */
  async function advance(set: KubeObject): Promise<void> {
    const { spec } = wireOf<V1StatefulSet>(set);
    const { namespace = '', name } = set.metadata;
    const isOrdered = spec?.podManagementPolicy !== 'Parallel';
    const replicas = spec?.replicas ?? 1;
    for (let ordinal = 0; ordinal < replicas; ordinal++) {
      const pod = informers.pods.byName(namespace, `${name}-${ordinal}`);
      if (pod === null) await podControl.create(set, podOfOrdinal(set, ordinal));
      else if (controllerRefOf(pod)?.uid === uidOf(set) && isTerminalPod(pod) && !isDeleting(pod)) {
        await podControl.delete(set, pod);
      }
      if (isOrdered && (pod === null || !isActivePod(pod) || !isReadyPod(pod))) return;
    }
    const surplus = informers
      .dependentsOf(uidOf(set))
      .filter((pod) => ordinalOf(pod) >= replicas)
      .sort((a, b) => ordinalOf(b) - ordinalOf(a));
    for (const pod of surplus) {
      if (!isDeleting(pod)) await podControl.delete(set, pod);
      if (isOrdered) return;
    }
    await update(set, replicas);
  }

  /** The rolling update: of pods with another template, the one with the highest ordinal goes, and the next one once all above are ready. */
  async function update(set: KubeObject, replicas: number): Promise<void> {
    const { spec } = wireOf<V1StatefulSet>(set);
    if (spec?.updateStrategy?.type === 'OnDelete') return;
    const { namespace = '', name } = set.metadata;
    const revision = revisionOf(set);
    for (let ordinal = replicas - 1; ordinal >= (spec?.updateStrategy?.rollingUpdate?.partition ?? 0); ordinal--) {
      const pod = informers.pods.byName(namespace, `${name}-${ordinal}`);
      if (pod === null || controllerRefOf(pod)?.uid !== uidOf(set) || isDeleting(pod)) return;
      if (pod.metadata.labels?.[REVISION_LABEL] !== revision) {
        await podControl.delete(set, pod);
        return;
      }
      if (!isActivePod(pod) || !isReadyPod(pod)) return;
    }
  }

  const add = (key: string): void => queue.add(key);
  informers.statefulSets.onChange(enqueueSelf(add));
  informers.pods.onChange(enqueueOwner('StatefulSet', add));
  return queue;
}

function podOfOrdinal(set: KubeObject, ordinal: number): object {
  const { namespace = '', name: setName } = set.metadata;
  const name = `${setName}-${ordinal}`;
  return podFromTemplate(wireOf<V1StatefulSet>(set).spec?.template, {
    namespace,
    name,
    hostname: name,
    owner: ownedBy(RESOURCES.statefulSets, set),
    labels: {
      'statefulset.kubernetes.io/pod-name': name,
      'apps.kubernetes.io/pod-index': String(ordinal),
      [REVISION_LABEL]: revisionOf(set),
    },
  });
}

function revisionOf(set: KubeObject): string {
  return `${set.metadata.name}-${templateHash(wireOf<V1StatefulSet>(set).spec?.template)}`;
}

function ordinalOf({ metadata: { name } }: KubeObject): number {
  return Number(name.slice(name.lastIndexOf('-') + 1));
}
