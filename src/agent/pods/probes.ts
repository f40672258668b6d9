import type { V1Pod, V1Probe } from '@kubernetes/client-node';
import { wireOf, type Wire } from '../../kube/project/wire.ts';
import type { KubeObject } from '../../kube/transport.ts';

/** Defaults of the API. */
const PERIOD_SECONDS = 10;
const FAILURE_THRESHOLD = 3;

/**
 * How long a pod can stand still before the kubelet kills one of its containers for failing its liveness probe; null where
 * none has one. The first failure can come at once, each further one after a period.
 */
export function longestFreezeMs(pod: KubeObject): number | null {
  const { containers, initContainers } = wireOf<V1Pod>(pod).spec ?? {};
  const limits = [...(containers ?? []), ...(initContainers ?? [])].flatMap(({ livenessProbe }) =>
    livenessProbe ? [limitOf(livenessProbe)] : [],
  );
  return limits.length === 0 ? null : Math.min(...limits);
}

function limitOf({ failureThreshold, periodSeconds }: Wire<V1Probe>): number {
  return ((failureThreshold ?? FAILURE_THRESHOLD) - 1) * (periodSeconds ?? PERIOD_SECONDS) * 1000;
}
