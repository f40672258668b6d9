import { quantityToInteger } from '../../domain/quantity.ts';
import type { WireCondition } from '../../kube/project/conditions.ts';
import { podOf } from '../../kube/project/pod.ts';
import type { KubeObject } from '../../kube/transport.ts';

/** Pod annotation, read: it succeeds after this many seconds of work; absent: it never ends by itself. */
const WORK_ANNOTATION = 'sim.reprieve.dev/work-seconds';
/** Pod annotation, read: size of its state, a quantity; absent: its memory request. */
const MEMORY_ANNOTATION = 'sim.reprieve.dev/memory';
/** Pod annotation, read: how much of its state lies in emptyDir volumes and /dev/shm, a quantity; absent: nothing. */
const VOLUMES_ANNOTATION = 'sim.reprieve.dev/volumes';
/** Pod annotation, read: how many TCP connections it has open; absent: none. */
const CONNECTIONS_ANNOTATION = 'sim.reprieve.dev/connections';
/** Pod annotation, read: seconds it goes on after SIGTERM; its grace period cuts that short. */
const TERMINATION_ANNOTATION = 'sim.reprieve.dev/termination-seconds';
/** Pod annotation, written by the kubelet: seconds of work done when it started, was frozen or ended. */
export const PROGRESS_ANNOTATION = 'sim.reprieve.dev/progress';

/** How the program in a simulated pod behaves. */
export interface Workload {
  readonly workSeconds: number | null;
  readonly stateBytes: number;
  /** Of `stateBytes`. */
  readonly volumeBytes: number;
  readonly connections: number;
  readonly terminationSeconds: number;
  readonly images: readonly string[];
}

export function workloadOf(pod: KubeObject): Workload {
  const annotations = pod.metadata.annotations ?? {};
  const work = annotations[WORK_ANNOTATION];
  const memory = annotations[MEMORY_ANNOTATION];
  return {
    workSeconds: work === undefined ? null : Number(work),
    stateBytes: memory === undefined ? podOf(pod).requests.memoryBytes : quantityToInteger(memory),
    volumeBytes: quantityToInteger(annotations[VOLUMES_ANNOTATION] ?? 0),
    connections: Number(annotations[CONNECTIONS_ANNOTATION] ?? 0),
    terminationSeconds: Number(annotations[TERMINATION_ANNOTATION] ?? 1),
    images: containersOf(pod).map(({ image }) => image),
  };
}

export function containersOf(pod: KubeObject): readonly { readonly name: string; readonly image: string }[] {
  return (pod['spec'] as { containers?: { name: string; image: string }[] } | undefined)?.containers ?? [];
}

export function nodeNameOf(pod: KubeObject): string | null {
  return (pod['spec'] as { nodeName?: string } | undefined)?.nodeName ?? null;
}

export function conditionsOf(pod: KubeObject): readonly WireCondition[] {
  return (pod['status'] as { conditions?: readonly WireCondition[] } | undefined)?.conditions ?? [];
}

export function isEnded(pod: KubeObject): boolean {
  const phase = (pod['status'] as { phase?: string } | undefined)?.phase;
  return phase === 'Succeeded' || phase === 'Failed';
}

/** One decimal, as the progress annotation holds it. */
export function rounded(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
