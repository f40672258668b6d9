import { objectKey } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import type { CsiNode } from '../../domain/volume.ts';
import type { ClusterView, NodeSnapshot } from '../../index/types.ts';

/**
 * As kube-scheduler's plugin NodeVolumeLimits says it of CSI volumes: a node takes the pod if each driver can attach the volumes of
 * the pod there, beside those of the pods in `holdersOn`. A volume that several pods use counts once. Null for a pod without such a volume.
 *
 * A volume that is detached only now (VolumeAttachment) is not counted: kube-scheduler refuses the node for that moment.
 */
export function attachRule(
  view: ClusterView,
  pod: Pod,
  holdersOn: (on: NodeSnapshot) => readonly Pod[],
): ((on: NodeSnapshot) => boolean) | null {
  const wanted = new Map<string, string>();
  addVolumesOf(view, pod, wanted);
  if (wanted.size === 0) return null;
  return (on) => {
    const limits = view.csiNode(on.node.name)?.limits;
    if (limits === undefined) return true;
    const attached = new Map<string, string>();
    for (const holder of holdersOn(on)) addVolumesOf(view, holder, attached);
    const fresh = [...wanted].filter(([name]) => !attached.has(name)).map(([, driver]) => driver);
    const then = [...attached.values(), ...fresh];
    return fresh.every((driver) => then.filter((one) => one === driver).length <= limitOf(limits, driver));
  };
}

function limitOf(limits: CsiNode['limits'], driver: string): number {
  return Object.hasOwn(limits, driver) ? (limits[driver] ?? Infinity) : Infinity;
}

/** Adds the driver of each CSI volume of a pod, by what no other volume is called. */
function addVolumesOf(view: ClusterView, { namespace, constraints }: Pod, found: Map<string, string>): void {
  for (const name of constraints?.volumeClaims ?? []) {
    const claim = view.volumeClaim(objectKey(namespace, name));
    if (claim === undefined) continue;
    const volume = claim.volume === null ? undefined : view.volume(claim.volume);
    if (volume === undefined) {
      const driver = view.storageClass(claim.storageClass)?.provisioner;
      if (driver !== undefined) found.set(`${driver} claim ${namespace}/${name}`, driver);
    } else if (volume.csi !== null) found.set(`${volume.csi.driver} volume ${volume.csi.handle}`, volume.csi.driver);
  }
}
