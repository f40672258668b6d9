import { lastEvictionMs } from '../../domain/thaw-rule.ts';
import { notCheckpointableReason } from '../../kube/project/checkpointable.ts';
import { wireOf } from '../../kube/project/wire.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { longestFreezeMs } from '../pods/probes.ts';
import type { DumpFailure } from '../runtime/dump-failure.ts';
import type { V1Pod } from '@kubernetes/client-node';

export interface PodCost {
  readonly memoryBytes: number;
  /** Of the saves of this node so far; null before the first. */
  readonly bytesPerSecond: number | null;
}

/** What is in the way of saving a pod and is seen in its object; null: nothing. */
export function podObstacle(pod: KubeObject, cost: PodCost): DumpFailure | null {
  const spec = notCheckpointableReason(wireOf<V1Pod>(pod).spec);
  if (spec !== null) return { reason: 'SpecForbids', message: spec };
  const ended = endedContainer(pod);
  if (ended !== null) {
    return { reason: 'ContainerEnded', message: `container ${ended} has ended, and would run again in the next pod` };
  }
  return tooStrict(pod, cost);
}

/** One that the kubelet starts anew is none. */
function endedContainer(pod: KubeObject): string | null {
  const { spec, status } = wireOf<V1Pod>(pod);
  const ended = status?.containerStatuses?.find(({ state }) => {
    const { exitCode } = state?.terminated ?? {};
    return (
      exitCode != null && (spec?.restartPolicy === 'Never' || (spec?.restartPolicy === 'OnFailure' && exitCode === 0))
    );
  });
  return ended?.name ?? null;
}

function tooStrict(pod: KubeObject, { memoryBytes, bytesPerSecond }: PodCost): DumpFailure | null {
  const allowedMs = longestFreezeMs(pod);
  if (allowedMs === null) return null;
  const neededMs = (memoryBytes / (bytesPerSecond ?? Infinity)) * 1000 - lastEvictionMs(0);
  if (neededMs < allowedMs) return null;
  // Without the time that it needs now: the condition would be written again at each look.
  const message = `its liveness probes allow it to stand still for ${allowedMs / 1000} s, and saving it takes longer; raise their failureThreshold`;
  return { reason: 'ProbesTooStrict', message };
}
