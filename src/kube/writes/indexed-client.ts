import type { Checkpoint } from '../../domain/checkpoint.ts';
import type { ConditionOf } from '../../domain/condition-reasons.ts';
import { isTerminating, type Pod } from '../../domain/pod.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type { IndexEvent } from '../../index/types.ts';
import type { Clock } from '../../ports/clock.ts';
import type { PodRef, WriteOutcome } from '../../ports/cluster-writer.ts';
import { ifFound, isConflict, isNotFound } from '../api-error.ts';
import type { DeleteOptions, KubeClient, PatchOptions } from '../client.ts';
import { checkpointOf } from '../project/checkpoint.ts';
import { podOf } from '../project/pod.ts';
import { ticketOf } from '../project/ticket.ts';
import { secondsTimestampOf } from '../project/time.ts';
import { RESOURCES } from '../resources.ts';
import type { KubeObject } from '../transport.ts';

/** How often a write is repeated after another client changed the object since it was read. A pod changes a few times a second at most. */
const CONFLICT_ATTEMPTS = 5;

/** A pod in an answer of the API server. */
export interface PodAnswer {
  readonly raw: KubeObject;
  readonly pod: Pod;
}

/** The fields of a pod that a patch changes; {@link IndexedClient.patchPod} adds UID and version. */
export interface PodChange {
  readonly metadata?: object;
  readonly spec?: object;
  readonly status?: object;
}

export interface IndexedClientOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Gets every object that an answer holds: the index is never behind our own writes. */
  readonly apply: (event: IndexEvent) => void;
}

/** What all writes have in common: pods are read and changed by identity, and every answer goes into the index. */
export class IndexedClient {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly #apply: (event: IndexEvent) => void;

  constructor({ client, clock, apply }: IndexedClientOptions) {
    this.client = client;
    this.clock = clock;
    this.#apply = apply;
  }

  /** The pod as the API server has it now; null if it has been deleted or another pod has its name. */
  async readPod(ref: PodRef): Promise<PodAnswer | null> {
    const raw = await ifFound(this.client.get(RESOURCES.pods, ref.namespace, ref.name));
    if (raw === null) return null;
    const pod = this.seenPod(raw);
    return pod.uid === ref.uid ? { raw, pod } : null;
  }

  /** True if the pod exists and is not being deleted. */
  async stands(ref: PodRef): Promise<boolean> {
    const read = await this.readPod(ref);
    return read !== null && !isTerminating(read.pod);
  }

  /** Fails with 409 unless the pod is still at the version of `pod`; null if the pod has been deleted. */
  async patchPod(pod: Pod, change: PodChange, options: PatchOptions): Promise<PodAnswer | null> {
    const { namespace, name, uid, resourceVersion } = pod;
    const patch = { ...change, metadata: { uid, resourceVersion, ...change.metadata } };
    const raw = await ifFound(this.client.patch(RESOURCES.pods, namespace, name, patch, options));
    return raw === null ? null : { raw, pod: this.seenPod(raw) };
  }

  /** As {@link patchPod}; the other conditions of the pod stay as they are. */
  setPodCondition(pod: Pod, condition: ConditionOf<'Pod'>): Promise<PodAnswer | null> {
    const lastTransitionTime = secondsTimestampOf(this.clock.now());
    const status = { conditions: [{ ...condition, lastTransitionTime }] };
    return this.patchPod(pod, { status }, { type: 'strategic', subresource: 'status' });
  }

  /** Deletes the pod, or finds it deleted. Fails with 409 where a precondition in `options` does not hold. */
  async deletePod({ namespace, name, uid }: Pod, options: DeleteOptions): Promise<void> {
    const answer = await ifFound(this.client.delete(RESOURCES.pods, namespace, name, options));
    if (answer !== null && answer.metadata.uid === uid && answer.metadata.deletionTimestamp) this.seenPod(answer);
  }

  seenPod(raw: KubeObject): Pod {
    const value = podOf(raw);
    this.#apply({ type: 'upsert', kind: 'pod', value });
    return value;
  }

  seenTicket(raw: KubeObject): Ticket {
    const value = ticketOf(raw);
    this.#apply({ type: 'upsert', kind: 'ticket', value });
    return value;
  }

  seenCheckpoint(raw: KubeObject): Checkpoint {
    const value = checkpointOf(raw);
    this.#apply({ type: 'upsert', kind: 'checkpoint', value });
    return value;
  }
}

/** Repeats `attempt` (a read, then a write) while another client changes the object between the read and the write. */
export async function untilUnchanged(attempt: () => Promise<WriteOutcome>): Promise<WriteOutcome> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isConflict(error)) throw error;
      if (count === CONFLICT_ATTEMPTS) return 'moved';
    }
  }
}

/** The answer to a delete by UID: the object with its deletionTimestamp, or null if no object with that UID is left. */
export async function whileDeleting(answer: Promise<KubeObject>): Promise<KubeObject | null> {
  try {
    const object = await answer;
    return object.metadata?.deletionTimestamp ? object : null;
  } catch (error) {
    // The UID is the only precondition, so a conflict means that another object has this name.
    if (isNotFound(error) || isConflict(error)) return null;
    throw error;
  }
}
