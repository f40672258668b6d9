import type { V1CSINode, V1PersistentVolume, V1PersistentVolumeClaim, V1StorageClass } from '@kubernetes/client-node';
import type { NodeName } from '../../domain/ids.ts';
import { quantityToInteger } from '../../domain/quantity.ts';
import type { LabelRequirement } from '../../domain/selector.ts';
import { ZONE_LABELS, type CsiNode, type StorageClass, type Volume, type VolumeClaim } from '../../domain/volume.ts';
import type { KubeObject } from '../transport.ts';
import { metadataOf } from './metadata.ts';
import { nodeTermsOf } from './node-constraints.ts';
import { wireOf } from './wire.ts';

const SELECTED_NODE_ANNOTATION = 'volume.kubernetes.io/selected-node';
/** Between the zones of a volume that several zones reach. */
const ZONE_SEPARATOR = '__';

export function volumeClaimOf(object: KubeObject): VolumeClaim {
  const { spec, status } = wireOf<V1PersistentVolumeClaim>(object);
  const { namespace, name, uid, resourceVersion } = metadataOf(object);
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    volume: (status?.phase === 'Bound' && spec?.volumeName) || null,
    isLost: status?.phase === 'Lost',
    deleting: object.metadata.deletionTimestamp !== undefined,
    storageClass: spec?.storageClassName ?? '',
    accessModes: spec?.accessModes ?? [],
    requestBytes: bytesOf(spec?.resources?.requests?.['storage']),
    selectedNode: (object.metadata.annotations?.[SELECTED_NODE_ANNOTATION] || null) as NodeName | null,
  };
}

export function volumeOf(object: KubeObject): Volume {
  const { spec, status } = wireOf<V1PersistentVolume>(object);
  const { name, uid, resourceVersion, labels } = metadataOf(object);
  const required = spec?.nodeAffinity?.required;
  return {
    name,
    uid,
    resourceVersion,
    storageClass: spec?.storageClassName ?? '',
    accessModes: spec?.accessModes ?? [],
    capacityBytes: bytesOf(spec?.capacity?.['storage']),
    isAvailable: status?.phase === 'Available' && !spec?.claimRef,
    nodeTerms: required ? nodeTermsOf(required) : null,
    topology: topologyOf(labels),
    csi: spec?.csi ? { driver: spec.csi.driver ?? '', handle: spec.csi.volumeHandle ?? '' } : null,
  };
}

export function storageClassOf(object: KubeObject): StorageClass {
  const { volumeBindingMode, provisioner, allowedTopologies } = wireOf<V1StorageClass>(object);
  const { name, uid, resourceVersion } = metadataOf(object);
  const topologies = (allowedTopologies ?? []).map(({ matchLabelExpressions }) => ({
    requirements: (matchLabelExpressions ?? []).map(({ key, values }): LabelRequirement => ({
      key: key ?? '',
      operator: 'In',
      values: values ?? [],
    })),
  }));
  return {
    name,
    uid,
    resourceVersion,
    waitsForPod: volumeBindingMode === 'WaitForFirstConsumer',
    provisioner: provisioner ?? '',
    provisions: provisioner !== 'kubernetes.io/no-provisioner',
    topologies: topologies.length === 0 ? null : topologies,
  };
}

export function csiNodeOf(object: KubeObject): CsiNode {
  const { name, uid, resourceVersion } = metadataOf(object);
  const limits: Record<string, number> = {};
  for (const { name: driver, allocatable } of wireOf<V1CSINode>(object).spec?.drivers ?? []) {
    const count = allocatable?.count;
    if (driver && count !== undefined && count !== null) limits[driver] = count;
  }
  return { name: name as NodeName, uid, resourceVersion, limits };
}

function topologyOf(labels: Readonly<Record<string, string>>): Volume['topology'] {
  const found: Record<string, readonly string[]> = {};
  for (const key of ZONE_LABELS) {
    const value = labels[key];
    if (value !== undefined) found[key] = value.split(ZONE_SEPARATOR);
  }
  return Object.keys(found).length === 0 ? null : found;
}

function bytesOf(quantity: string | null | undefined): number {
  return quantity === null || quantity === undefined ? 0 : quantityToInteger(quantity);
}
