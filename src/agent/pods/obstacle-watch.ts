import type { CheckpointRules } from '../../domain/checkpoint-rules.ts';
import { CONDITIONS, type ConditionReason } from '../../domain/condition-reasons.ts';
import { CHECKPOINTABLE_CONDITION, STATE_BYTES_ANNOTATION } from '../../domain/labels.ts';
import type { Pod } from '../../domain/pod.ts';
import { hasKnownSuccessor } from '../../domain/owner-kinds.ts';
import type { Policy } from '../../domain/policy.ts';
import { comparePolicies, rulingPolicy, successorUnknown } from '../../domain/protection.ts';
import { conditionOf, type WireCondition } from '../../kube/project/conditions.ts';
import { namespaceOf } from '../../kube/project/namespace.ts';
import { podOf } from '../../kube/project/pod.ts';
import { policyOf } from '../../kube/project/policy.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { EVENT_REASONS } from '../../observe/event-reasons.ts';
import type { EventSink } from '../../ports/cluster-writer.ts';
import { within, type Clock, type Timer } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';

/** A program has mapped what it maps within its first seconds; what it opens later is found one round later. */
const LOOK_EVERY_MS = 10_000;
/** A look takes some milliseconds. /proc makes a reader wait for a process that waits for a device. */
const LOOK_WITHIN_MS = 10_000;
/** The size of a pod is written at most so often, and only where it has changed by more than a quarter and this much. */
const MEASURE_EVERY_MS = 60_000;
const CHANGED_SHARE = 0.25;
const CHANGED_BYTES = 16 * 2 ** 20;

/** What stands in the way of saving a running pod. */
export interface Obstacle {
  readonly reason: ConditionReason<'Pod', typeof CHECKPOINTABLE_CONDITION, 'False'>;
  /** Names the remedy where there is one. */
  readonly message: string;
}

export interface ObstacleWatchOptions {
  readonly pods: () => readonly KubeObject[];
  readonly policies: () => readonly KubeObject[];
  readonly namespaces: () => readonly KubeObject[];
  /** The pod stands frozen, or is about to: CRIU may be in its processes. */
  readonly isFrozen: (podUid: string) => boolean;
  /** Looks at the processes of a pod; null: nothing is in the way of saving it by these rules. */
  readonly obstacle: (pod: KubeObject, rules: CheckpointRules) => Promise<Obstacle | null>;
  /** Memory of a running pod; null where nothing of it runs. */
  readonly memoryBytes: (podUid: string) => Promise<number | null>;
  readonly api: NodeApi;
  readonly events: EventSink;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

/**
 * Says of running pods that they cannot be saved, before anybody counts on it: looks at the processes of those that a policy
 * would protect, and writes the condition that the index reads, and how large they are.
 *
 * Frozen pods are left out. CRIU talks to the processes that it dumps through unix sockets of its own, and for as long as the
 * dump lasts each of them looks like a connection to another container: the pod would be called not checkpointable because it
 * is being saved, and the next preemption would evict it unsaved.
 */
export class ObstacleWatch {
  readonly #options: ObstacleWatchOptions;
  readonly #told = new Map<string, number>(); // pod uid -> when its size was written last, on the clock that nobody sets
  readonly #looking = new Set<string>(); // uids of pods that are being looked at
  #timer: Timer | null = null;
  #isStopped = false;

  constructor(options: ObstacleWatchOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, onError } = this.#options;
    this.look()
      .catch(onError)
      .finally(() => {
        if (!this.#isStopped) this.#timer = clock.setTimer(LOOK_EVERY_MS, () => this.start());
      });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** One round over all pods, one after the other. */
  async look(): Promise<void> {
    const policies = this.#options.policies().map(policyOf).toSorted(comparePolicies);
    if (policies.length === 0) return;
    const labels = new Map(
      this.#options.namespaces().map((object) => [object.metadata.name, namespaceOf(object).labels]),
    );
    const { isFrozen, onError } = this.#options;
    const pods = this.#options.pods();
    const present = new Set(pods.map(({ metadata }) => metadata.uid));
    for (const uid of this.#told.keys()) if (!present.has(uid)) this.#told.delete(uid);
    for (const object of pods) {
      if (this.#isStopped) return;
      const pod = podOf(object);
      if (pod.phase !== 'Running' || pod.deletionMs !== null) continue;
      const policy = rulingPolicy(pod, policies, labels.get(pod.namespace) ?? {});
      if (policy === undefined || policy.preemption.decision === 'Never') continue;
      if (isFrozen(pod.uid) || this.#looking.has(pod.uid)) continue;
      await this.#lookAt(object, pod, policy).catch(onError);
    }
  }

  /** Rejects where it fails or hangs: the others of the node are looked at all the same, and this one again once it has ended. */
  async #lookAt(object: KubeObject, pod: Pod, policy: Policy): Promise<void> {
    const { clock, isFrozen, obstacle: obstacleOf } = this.#options;
    let obstacle = unknownSuccessor(pod, policy);
    if (obstacle === null) {
      this.#looking.add(pod.uid);
      const look = obstacleOf(object, policy.checkpoint).finally(() => this.#looking.delete(pod.uid));
      obstacle = await within(clock, LOOK_WITHIN_MS, look);
    }
    if (isFrozen(pod.uid)) return; // a dump began during the look
    await this.#judge(object, obstacle);
    await this.#measure(object, pod);
  }

  /** What a save of the pod would cost is estimated by its memory. A program that grows is not written about all the time. */
  async #measure(object: KubeObject, { uid, stateBytes }: Pod): Promise<void> {
    const { api, clock, memoryBytes } = this.#options;
    if (clock.monotonic() - (this.#told.get(uid) ?? -Infinity) < MEASURE_EVERY_MS) return;
    const bytes = await memoryBytes(uid);
    if (bytes === null || !isOtherSize(bytes, stateBytes)) return;
    this.#told.set(uid, clock.monotonic());
    await api.patchPod(object, { annotations: { [STATE_BYTES_ANNOTATION]: String(bytes) } });
  }

  async #judge(pod: KubeObject, obstacle: Obstacle | null): Promise<void> {
    const { api, events } = this.#options;
    const { conditions } = (pod['status'] ?? {}) as { readonly conditions?: readonly WireCondition[] };
    const said = conditionOf(conditions, CHECKPOINTABLE_CONDITION);
    if (obstacle === null) {
      if (said?.status !== 'False') return;
      const message = CONDITIONS.Pod[CHECKPOINTABLE_CONDITION].reasons.Checkpointable.meaning;
      const free = { type: CHECKPOINTABLE_CONDITION, status: 'True', reason: 'Checkpointable', message } as const;
      await api.patchPod(pod, { conditions: [free] });
      return;
    }
    if (said?.status === 'False' && said.reason === obstacle.reason && said.message === obstacle.message) return;
    await api.patchPod(pod, { conditions: [{ type: CHECKPOINTABLE_CONDITION, status: 'False', ...obstacle }] });
    const { namespace = '', name, uid = '' } = pod.metadata;
    const { type, action } = EVENT_REASONS.NotCheckpointable;
    const regarding = { kind: 'Pod', namespace, name, uid } as const;
    events.emit({ regarding, type, action, reason: 'NotCheckpointable', message: obstacle.message });
  }
}

function unknownSuccessor(pod: Pod, { restore }: Policy): Obstacle | null {
  if (hasKnownSuccessor(pod.owner, pod, restore.identityLabels)) return null;
  return { reason: 'SuccessorUnknown', message: successorUnknown(pod.owner?.kind ?? '') };
}

function isOtherSize(bytes: number, said: number | null): boolean {
  return said === null || Math.abs(bytes - said) > Math.max(CHANGED_BYTES, said * CHANGED_SHARE);
}
