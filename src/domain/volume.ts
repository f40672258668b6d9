import type { NodeName } from './ids.ts';
import type { Node } from './node.ts';
import { selectsTerm, type NodeTerm } from './node-selector.ts';
import { selects, type LabelSelector } from './selector.ts';

/** A PersistentVolumeClaim, as far as it says where its pod may run. */
export interface VolumeClaim {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Name of its PersistentVolume; null while it is not bound. */
  readonly volume: string | null;
  readonly isLost: boolean;
  readonly deleting: boolean;
  readonly storageClass: string;
  readonly accessModes: readonly string[];
  readonly requestBytes: number;
  /** Where kube-scheduler has decided to provision its volume. */
  readonly selectedNode: NodeName | null;
}

/** A PersistentVolume. */
export interface Volume {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly storageClass: string;
  readonly accessModes: readonly string[];
  readonly capacityBytes: number;
  /** No PersistentVolumeClaim has it. */
  readonly isAvailable: boolean;
  /** Alternatives, one of which selects each node that can reach it; null: every node can. */
  readonly nodeTerms: readonly NodeTerm[] | null;
  /** Zone and region in its labels: a node with such labels must have one of these values. */
  readonly topology: Readonly<Record<string, readonly string[]>> | null;
  /** The CSI driver that attaches it, and its name there; null where no CSI driver does. */
  readonly csi: { readonly driver: string; readonly handle: string } | null;
}

export interface StorageClass {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Volumes are bound or provisioned when their pod is scheduled (`WaitForFirstConsumer`). */
  readonly waitsForPod: boolean;
  readonly provisions: boolean;
  /** Of a class that provisions: the CSI driver. */
  readonly provisioner: string;
  /** `allowedTopologies`, one of which must select the node; null: anywhere. */
  readonly topologies: readonly LabelSelector[] | null;
}

/** A CSINode: what the kubelet of a node says of its CSI drivers. */
export interface CsiNode {
  readonly name: NodeName;
  readonly uid: string;
  readonly resourceVersion: string;
  /** CSI driver -> how many volumes it can attach to the node; drivers without a limit are missing. */
  readonly limits: Readonly<Record<string, number>>;
}

/** As kube-scheduler's plugins VolumeBinding and VolumeZone say it of a bound volume. */
export function reaches(node: Node, { nodeTerms, topology }: Volume): boolean {
  if (nodeTerms !== null && !nodeTerms.some((term) => selectsTerm(term, node))) return false;
  if (topology === null || !ZONE_LABELS.some((key) => node.labels[key] !== undefined)) return true;
  for (const key in topology) {
    const value = node.labels[key] ?? node.labels[key.replace(BETA_PREFIX, GA_PREFIX)];
    if (value === undefined || !(topology[key] ?? []).includes(value)) return false;
  }
  return true;
}

const GA_PREFIX = 'topology.kubernetes.io/';
const BETA_PREFIX = 'failure-domain.beta.kubernetes.io/';
/** Labels of nodes and volumes that VolumeZone compares. */
export const ZONE_LABELS: readonly string[] = [GA_PREFIX, BETA_PREFIX].flatMap((prefix) => [
  `${prefix}zone`,
  `${prefix}region`,
]);

/** A volume could be provisioned for a pod on this node. */
export function provisionsOn(node: Node, { provisions, topologies }: StorageClass): boolean {
  return provisions && (topologies === null || topologies.some((topology) => selects(topology, node.labels)));
}

/** An available volume serves the claim of a pod on this node. */
export function serves(node: Node, volume: Volume, claim: VolumeClaim): boolean {
  return (
    volume.storageClass === claim.storageClass &&
    volume.capacityBytes >= claim.requestBytes &&
    claim.accessModes.every((mode) => volume.accessModes.includes(mode)) &&
    reaches(node, volume)
  );
}

export function isForOnePod({ accessModes }: VolumeClaim): boolean {
  return accessModes.includes('ReadWriteOncePod');
}
