import { objectKey } from '../../domain/ids.ts';
import type { Node } from '../../domain/node.ts';
import type { Pod } from '../../domain/pod.ts';
import { isForOnePod, provisionsOn, reaches, serves, type VolumeClaim } from '../../domain/volume.ts';
import type { PodsThen } from './topology.ts';

/**
 * As kube-scheduler's plugins VolumeBinding, VolumeZone and VolumeRestrictions say it: a bound volume must be reachable, one that waits
 * for its pod must be provisionable there or exist, and one for a single pod must be free. A claim that is missing, lost, being
 * deleted or not bound yet keeps the pod off every node.
 */
export function volumesRule(then: PodsThen, pod: Pod, names: readonly string[]): (node: Node) => boolean {
  const claims: VolumeClaim[] = [];
  for (const name of names) {
    const claim = then.view.volumeClaim(objectKey(pod.namespace, name));
    if (claim === undefined || claim.isLost || claim.deleting || isInUse(then, pod, claim)) return () => false;
    claims.push(claim);
  }
  return (node) => claims.every((claim) => isUsableOn(then, node, claim));
}

function isInUse({ view, leaving, coming }: PodsThen, pod: Pod, claim: VolumeClaim): boolean {
  if (!isForOnePod(claim)) return false;
  for (const { uid } of view.podsOfClaim(objectKey(claim.namespace, claim.name)))
    if (uid !== pod.uid && !leaving.has(uid)) return true;
  return coming.some(
    ({ pod: other }) =>
      other.uid !== pod.uid &&
      other.namespace === claim.namespace &&
      (other.constraints?.volumeClaims.includes(claim.name) ?? false),
  );
}

function isUsableOn({ view }: PodsThen, node: Node, claim: VolumeClaim): boolean {
  if (claim.volume !== null) {
    const volume = view.volume(claim.volume);
    return volume !== undefined && reaches(node, volume);
  }
  const storage = view.storageClass(claim.storageClass);
  if (storage === undefined || !storage.waitsForPod) return false;
  if (claim.selectedNode !== null) return claim.selectedNode === node.name;
  return (
    provisionsOn(node, storage) ||
    view.availableVolumes(claim.storageClass).some((volume) => serves(node, volume, claim))
  );
}
