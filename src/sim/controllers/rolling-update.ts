import type { V1DeploymentStrategy } from '@kubernetes/client-node';
import type { Wire } from '../../kube/project/wire.ts';
import { countOf } from './share.ts';

/** A ReplicaSet of a Deployment, as it says of itself. */
export interface Replicas {
  readonly name: string;
  /** `spec.replicas`. */
  readonly replicas: number;
  readonly available: number;
}

interface Rollout {
  readonly replicas: number;
  readonly strategy: Wire<V1DeploymentStrategy> | null | undefined;
  /** The ReplicaSet of the present template; null before it is made. */
  readonly current: Replicas | null;
  /** Those of former templates, in the order in which they were made. */
  readonly others: readonly Replicas[];
}

interface Wanted {
  readonly current: number;
  readonly others: ReadonlyMap<string, number>; // name -> replicas
}

/**
 * One step of a rollout, as `pkg/controller/deployment/rolling.go`: the new ReplicaSet grows as far as `maxSurge` allows; where it does
 * not, the former ones shrink as far as `maxUnavailable` allows, those of their pods first that are not available.
 */
export function nextReplicas({ replicas, strategy, current, others }: Rollout): Wanted {
  const left = new Map(others.map((other) => [other.name, other.replicas]));
  const has = current?.replicas ?? 0;
  if (strategy?.type === 'Recreate') {
    const isEmpty = others.every((other) => other.replicas === 0);
    return { current: isEmpty ? replicas : has, others: new Map(others.map(({ name }) => [name, 0])) };
  }
  const surge = countOf(strategy?.rollingUpdate?.maxSurge ?? '25%', replicas, 'up');
  const unavailable = countOf(strategy?.rollingUpdate?.maxUnavailable ?? '25%', replicas, 'down');
  const before = others.reduce((sum, other) => sum + other.replicas, 0);
  const grown = Math.min(replicas, has + Math.max(0, replicas + surge - (before + has)));
  if (grown !== has || current === null) return { current: grown, others: left };

  // Both zero would stand still.
  const minAvailable = replicas - (surge === 0 && unavailable === 0 ? 1 : unavailable);
  let mayGo = before + has - minAvailable - (has - current.available);
  for (const { name, replicas: count, available } of others) {
    const broken = Math.max(0, Math.min(mayGo, count - available));
    left.set(name, count - broken);
    mayGo -= broken;
  }
  let spare = others.reduce((sum, other) => sum + other.available, current.available) - minAvailable;
  for (const [name, count] of left) {
    const gone = Math.max(0, Math.min(mayGo, spare, count));
    left.set(name, count - gone);
    mayGo -= gone;
    spare -= gone;
  }
  return { current: has, others: left };
}
