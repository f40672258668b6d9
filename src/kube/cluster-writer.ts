import type { Checkpoint } from '../domain/checkpoint.ts';
import type { NodeName } from '../domain/ids.ts';
import type { Pod } from '../domain/pod.ts';
import type { Policy, PolicyReport } from '../domain/policy.ts';
import type { Displacement } from '../domain/displacement.ts';
import type { Ticket } from '../domain/ticket.ts';
import type {
  ClaimTerms,
  CheckpointOrder,
  ClusterWriter,
  EvictionOrder,
  PhaseChange,
  Placement,
  PodRef,
  QueueReason,
  TicketOrder,
  TicketWord,
  WriteOutcome,
} from '../ports/cluster-writer.ts';
import { isConflict, isNotFound } from './api-error.ts';
import { policyStatusObject } from './policy-status.ts';
import { policyOf } from './project/policy.ts';
import { RESOURCES } from './resources.ts';
import type { ServerTime } from './server-time.ts';
import { CheckpointWrites } from './writes/checkpoint-writes.ts';
import { IndexedClient, type IndexedClientOptions } from './writes/indexed-client.ts';
import { PodDeletion } from './writes/pod-deletion.ts';
import { PodWrites } from './writes/pod-writes.ts';
import { TicketWrites } from './writes/ticket-writes.ts';

export interface KubeClusterWriterOptions extends IndexedClientOptions {
  readonly serverTime: ServerTime;
}

/** {@link ClusterWriter} on an API server: the writes to each kind are in `writes/`. */
export class KubeClusterWriter implements ClusterWriter {
  readonly #options: KubeClusterWriterOptions;
  readonly #indexed: IndexedClient;
  readonly #tickets: TicketWrites;
  readonly #checkpoints: CheckpointWrites;
  readonly #pods: PodWrites;
  readonly #deletion: PodDeletion;

  constructor(options: KubeClusterWriterOptions) {
    this.#options = options;
    this.#indexed = new IndexedClient(options);
    this.#tickets = new TicketWrites(this.#indexed);
    this.#checkpoints = new CheckpointWrites(this.#indexed);
    this.#pods = new PodWrites(this.#indexed);
    this.#deletion = new PodDeletion(this.#indexed, options.serverTime);
  }

  createTicket(order: TicketOrder): Promise<WriteOutcome> {
    return this.#tickets.create(order);
  }

  deleteTicket(ticket: Ticket, whileStands: PodRef | null): Promise<WriteOutcome> {
    return this.#tickets.delete(ticket, whileStands);
  }

  adoptTicket(ticket: Ticket, displacement: Displacement): Promise<WriteOutcome> {
    return this.#tickets.adopt(ticket, displacement);
  }

  setTicketPhase(ticket: Ticket, change: PhaseChange): Promise<WriteOutcome> {
    return this.#tickets.setPhase(ticket, change);
  }

  tellTicket(ticket: Ticket, word: TicketWord): Promise<WriteOutcome> {
    return this.#tickets.tell(ticket, word);
  }

  clearDecision(ticket: Ticket): Promise<WriteOutcome> {
    return this.#tickets.clearDecision(ticket);
  }

  async claim(ticket: Ticket, pod: Pod | null, { whileGone, state }: ClaimTerms = {}): Promise<WriteOutcome> {
    if (whileGone !== undefined && (await this.#indexed.stands(whileGone))) return 'moved';
    if (pod !== null && (await this.#pods.nameTicket(pod, ticket)) === 'moved') return 'moved';
    return this.#tickets.setClaim(ticket, pod, state);
  }

  createCheckpoint(order: CheckpointOrder): Promise<WriteOutcome> {
    return this.#checkpoints.create(order);
  }

  releaseCheckpoint(checkpoint: Checkpoint, because: string, whileStands: PodRef | null): Promise<WriteOutcome> {
    return this.#checkpoints.release(checkpoint, because, whileStands);
  }

  deleteCheckpoint(checkpoint: Checkpoint): Promise<WriteOutcome> {
    return this.#checkpoints.delete(checkpoint);
  }

  removeFinalizer(checkpoint: Checkpoint): Promise<WriteOutcome> {
    return this.#checkpoints.removeFinalizer(checkpoint);
  }

  nominate(pod: PodRef, node: NodeName | null): Promise<WriteOutcome> {
    return this.#pods.nominate(pod, node);
  }

  recreatePod(ticket: Ticket, plain: boolean): Promise<WriteOutcome> {
    return this.#pods.recreate(ticket, plain);
  }

  ungate(
    pod: Pod,
    as: { readonly ticket: Ticket; readonly placement: Placement } | null,
    ended: string | null = null,
  ): Promise<WriteOutcome> {
    return this.#pods.ungate(pod, as, ended);
  }

  tellHeld(pod: PodRef, message: string): Promise<WriteOutcome> {
    return this.#pods.tellHeld(pod, message);
  }

  tellQueued(pod: Pod, reason: QueueReason, message: string): Promise<WriteOutcome> {
    return this.#pods.tellQueued(pod, reason, message);
  }

  evict(order: EvictionOrder): Promise<WriteOutcome> {
    return this.#deletion.evict(order);
  }

  endPod(pod: PodRef): Promise<WriteOutcome> {
    return this.#deletion.end(pod);
  }

  async setPolicyStatus(policy: Policy, report: PolicyReport): Promise<WriteOutcome> {
    const { client, clock, apply } = this.#options;
    const { name, resourceVersion } = policy;
    const patch = {
      metadata: { resourceVersion }, // also tells it from another policy that has its name by now
      status: policyStatusObject(policy, report, clock.now()),
    };
    try {
      const answer = await client.patch(RESOURCES.reprievePolicies, null, name, patch, {
        type: 'merge',
        subresource: 'status',
      });
      apply({ type: 'upsert', kind: 'policy', value: policyOf(answer) });
      return 'done';
    } catch (error) {
      // The watch brings what it is now.
      if (isNotFound(error) || isConflict(error)) return 'moved';
      throw error;
    }
  }
}
