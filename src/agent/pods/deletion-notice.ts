import type { V1Pod } from '@kubernetes/client-node';
import { wireOf } from '../../kube/project/wire.ts';
import type { KubeObject } from '../../kube/transport.ts';

/**
 * How long a kubelet is waited for that reports what it sees. It is the one that removes the pod's object, by way of the same
 * queue of reports: whoever kills earlier frees no room earlier. After this it is taken for dead.
 */
const SILENT_MS = 30_000;
/** How long one is given that does not report (before Kubernetes 1.34, or a pod from then): some watches lag behind ours. */
const UNREPORTED_MS = 1_000;

export interface DeletionNotice {
  /** The kubelet stops the pod: it starts nothing of it any more. */
  readonly isSeen: boolean;
  /** How long to wait for that. */
  readonly waitMs: number;
}

/** 0 where the API server counts none: for objects from before it did. */
export function generationOf({ metadata }: KubeObject): number {
  return metadata.generation ?? 0;
}

/**
 * What the kubelet has told of a deletion that made the pod's generation `deletedAt`. It reports that number as observed when
 * it begins to stop the pod, before it stops the first container.
 */
export function deletionNotice(pod: KubeObject, deletedAt: number): DeletionNotice {
  const observed = wireOf<V1Pod>(pod).status?.observedGeneration ?? 0;
  const reports = deletedAt > 0 && observed > 0;
  return { isSeen: reports && observed >= deletedAt, waitMs: reports ? SILENT_MS : UNREPORTED_MS };
}
