import type { V1Pod } from '@kubernetes/client-node';
import type { ConditionOf } from '../../domain/condition-reasons.ts';
import { isTerminal, isTerminating } from '../../domain/pod.ts';
import { DELETE_TIMEOUT_MS, lastEvictionMs } from '../../domain/thaw-rule.ts';
import type { EvictionOrder, PodRef, WriteOutcome } from '../../ports/cluster-writer.ts';
import { conditionOf } from '../project/conditions.ts';
import { wireOf } from '../project/wire.ts';
import type { ServerTime } from '../server-time.ts';
import { untilUnchanged, type IndexedClient, type PodAnswer } from './indexed-client.ts';

const RESTORE_FAILED: ConditionOf<'Pod'> = {
  type: 'DisruptionTarget',
  status: 'True',
  reason: 'RestoreFailed',
  message: 'Reprieve: another pod continues the saved state',
};

/**
 * The two deletes of pods: a victim is evicted, and a pod whose restore failed makes way. Both are GET, mark, DELETE, each at
 * the version of the one before. The mark (`DisruptionTarget`) tells a Job controller not to count the pod as a failure.
 */
export class PodDeletion {
  readonly #indexed: IndexedClient;
  readonly #serverTime: ServerTime;

  constructor(indexed: IndexedClient, serverTime: ServerTime) {
    this.#indexed = indexed;
    this.#serverTime = serverTime;
  }

  /**
   * Deletes the frozen pod that was read, or nothing. A mark on a pod that is not deleted in the end needs no cleaning: the
   * disruption controller resets it after two minutes. A delete that relies on the pod being frozen follows
   * `src/domain/thaw-rule.ts`: it is sent in time, or not at all.
   */
  async evict(order: EvictionOrder): Promise<WriteOutcome> {
    const { victim, frozenBy, disruption } = order;
    const thawAtMs = order.thawAtMs ?? Infinity;
    const maySend = (): boolean => this.#serverTime.latestMs() < lastEvictionMs(thawAtMs);
    return untilUnchanged(async () => {
      let read = await this.#indexed.readPod(victim);
      if (read === null || isTerminating(read.pod) || isTerminal(read.pod)) return 'done';
      if (frozenBy !== null && read.pod.frozenBy !== frozenBy) return 'moved';
      if (!isMarked(read, disruption.reason)) {
        read = await this.#indexed.setPodCondition(read.pod, {
          type: 'DisruptionTarget',
          status: 'True',
          ...disruption,
        });
        if (read === null || isTerminating(read.pod)) return 'done';
        if (frozenBy !== null && read.pod.frozenBy !== frozenBy) return 'moved';
      }
      const { uid, resourceVersion } = read.pod;
      // An unsaved pod may change all the time; only its identity matters then.
      const preconditions = frozenBy === null ? { uid } : { uid, resourceVersion };
      if (!maySend()) return 'moved';
      const bounds = { timeoutMs: DELETE_TIMEOUT_MS, maySend };
      const dependents = frozenBy !== null && keepsDependents(read) ? ({ propagationPolicy: 'Orphan' } as const) : {};
      await this.#indexed.deletePod(read.pod, { ...preconditions, ...bounds, ...dependents });
      return 'done';
    });
  }

  /** Deletes a pod whose restore failed, at a version at which it is not restored. */
  async end(ref: PodRef): Promise<WriteOutcome> {
    return untilUnchanged(async () => {
      let read = await this.#indexed.readPod(ref);
      if (read === null || isTerminating(read.pod)) return 'done';
      if (read.pod.restored?.succeeded === true) return 'moved';
      if (!isTerminal(read.pod)) {
        read = await this.#indexed.setPodCondition(read.pod, RESTORE_FAILED);
        if (read === null) return 'done';
        if (read.pod.restored?.succeeded === true) return 'moved';
      }
      const { uid, resourceVersion } = read.pod;
      await this.#indexed.deletePod(read.pod, { uid, resourceVersion });
      return 'done';
    });
  }
}

function isMarked({ raw }: PodAnswer, reason: string): boolean {
  const mark = conditionOf(wireOf<V1Pod>(raw).status?.conditions, 'DisruptionTarget');
  return mark?.status === 'True' && mark.reason === reason;
}

/**
 * A bare pod that was saved comes back, and needs the objects that name it as their owner: the ConfigMap and Service of a Spark driver,
 * its executors. Kubernetes would delete them with the old pod, and nobody makes them again. They lose the reference to the old pod.
 * Claims that Kubernetes generates for each pod are the exception: the new pod gets claims of its own, and refuses those of
 * another pod (ephemeral-volume controller, resourceclaim controller).
 */
function keepsDependents({ pod, raw }: PodAnswer): boolean {
  if (pod.owner !== null) return false;
  const { volumes, resourceClaims } = wireOf<V1Pod>(raw).spec ?? {};
  const isGenerated =
    volumes?.some(({ ephemeral }) => ephemeral) ||
    resourceClaims?.some(({ resourceClaimTemplateName }) => resourceClaimTemplateName);
  return !isGenerated;
}
