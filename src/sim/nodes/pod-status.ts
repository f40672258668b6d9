import type { KubeObject } from '../../kube/transport.ts';
import type { KubeletCondition } from '../../agent/node-api.ts';
import { containersOf } from './workload.ts';

/** What a kubelet writes when the containers run. */
export function runningStatus(pod: KubeObject, startedAt: string, podIp: string): Readonly<Record<string, unknown>> {
  return {
    phase: 'Running',
    startTime: startedAt,
    podIP: podIp,
    podIPs: [{ ip: podIp }],
    containerStatuses: containersOf(pod).map(({ name, image }) => ({
      name,
      image,
      imageID: imageIdOf(image),
      containerID: `simulated://${pod.metadata.uid}/${name}`,
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt } },
    })),
  };
}

/** What a kubelet writes when they have ended: 0 completed, 137 killed. */
export function endedStatus(pod: KubeObject, exitCode: 0 | 137, finishedAt: string): Readonly<Record<string, unknown>> {
  return {
    phase: exitCode === 0 ? 'Succeeded' : 'Failed',
    containerStatuses: containersOf(pod).map(({ name, image }) => ({
      name,
      image,
      imageID: imageIdOf(image),
      containerID: `simulated://${pod.metadata.uid}/${name}`,
      ready: false,
      started: false,
      restartCount: 0,
      state: { terminated: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', finishedAt } },
    })),
  };
}

export function readiness(isReady: boolean): readonly KubeletCondition[] {
  const status = isReady ? 'True' : 'False';
  const reason = isReady ? '' : 'PodCompleted';
  return (['Initialized', 'ContainersReady', 'Ready'] as const).map((type) => ({
    type,
    status: type === 'Initialized' ? 'True' : status,
    reason: type === 'Initialized' ? '' : reason,
    message: '',
  }));
}

/** A digest that is the same for the same image name on every node. */
export function imageIdOf(image: string): string {
  if (image.includes('@')) return image;
  let hash = 0x811c9dc5; // FNV-1a
  for (let at = 0; at < image.length; at++) hash = Math.imul(hash ^ image.charCodeAt(at), 0x01000193) >>> 0;
  return `${image.replace(/:[^:/]*$/, '')}@sha256:${hash.toString(16).padStart(8, '0').repeat(8)}`;
}
