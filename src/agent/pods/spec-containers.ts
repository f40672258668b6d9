import type { V1Pod } from '@kubernetes/client-node';
import { wireOf } from '../../kube/project/wire.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { PodContainer } from './pod-processes.ts';

/**
 * The containers that a pod with this spec will have again, in the order in which the kubelet makes them: sidecars, then the
 * ordinary ones. An ephemeral container (`kubectl debug`) is not among them.
 */
export function lastingContainers(pod: KubeObject): readonly string[] {
  const { containers, initContainers } = wireOf<V1Pod>(pod).spec ?? {};
  const sidecars = (initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...sidecars, ...(containers ?? [])].map(({ name }) => name ?? '');
}

/** Those of `present`, in that order. */
export function inSpecOrder<T extends { readonly name: string }>(pod: KubeObject, present: readonly T[]): readonly T[] {
  return lastingContainers(pod).flatMap((name) => present.filter((one) => one.name === name));
}

/** Name of a container that must run for the pod to be saved as a whole, and does not. */
export function missingContainer(
  pod: KubeObject,
  running: readonly Pick<PodContainer, 'name' | 'status'>[],
): string | null {
  const runs = new Set(running.filter(({ status }) => status === 'running').map(({ name }) => name));
  return lastingContainers(pod).find((name) => !runs.has(name)) ?? null;
}
