import type { V1Pod } from '@kubernetes/client-node';
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { ConditionOf } from '../domain/condition-reasons.ts';
import {
  AGENT_FINALIZER,
  DECIDE_ANNOTATION,
  DISPLACEMENTS_ANNOTATION,
  EXCLUDED_NODES_ANNOTATION,
  ON_FAILURE_ANNOTATION,
  RESTORED_CONDITION,
  RESTORE_GATE,
  TICKET_ANNOTATION,
} from '../domain/labels.ts';
import type { NodeName } from '../domain/ids.ts';
import { isTerminal, isTerminating, type Pod } from '../domain/pod.ts';
import { DELETE_TIMEOUT_MS, lastEvictionMs } from '../domain/thaw-rule.ts';
import type { Policy, PolicyReport } from '../domain/policy.ts';
import { isFailedPod, isFinal, type Decision, type Ticket } from '../domain/ticket.ts';
import type { IndexEvent } from '../index/types.ts';
import type { Clock } from '../ports/clock.ts';
import type {
  CheckpointOrder,
  ClusterWriter,
  EvictionOrder,
  PhaseChange,
  Placement,
  PodRef,
  QueueReason,
  TicketOrder,
  WriteOutcome,
} from '../ports/cluster-writer.ts';
import { ifFound, isAlreadyExists, isConflict, isNotFound } from './api-error.ts';
import { checkpointObject } from './checkpoint-object.ts';
import type { KubeClient } from './client.ts';
import type { ReprieveStatus } from './crd/reprieve.ts';
import { nodeAffinityWith } from './placement-affinity.ts';
import { policyStatusObject } from './policy-status.ts';
import { checkpointOf } from './project/checkpoint.ts';
import { podOf } from './project/pod.ts';
import { policyOf } from './project/policy.ts';
import { ticketOf } from './project/ticket.ts';
import { secondsTimestampOf, timestampOf } from './project/time.ts';
import { wireOf } from './project/wire.ts';
import { RESOURCES } from './resources.ts';
import { decisionIn, recreatedPod, ticketAnnotations, ticketObject } from './ticket-object.ts';
import { restoredCondition } from './ticket-condition.ts';
import type { ServerTime } from './server-time.ts';
import type { KubeObject } from './transport.ts';

/** How often a write is tried again after somebody else changed the object in between. Pods are changed a few times a second at most. */
const CONFLICT_ATTEMPTS = 5;

export interface KubeClusterWriterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly serverTime: ServerTime;
  /** Gets every object that an answer holds: the index is never behind our own writes. */
  readonly apply: (event: IndexEvent) => void;
}

/** {@link ClusterWriter} on an API server. */
export class KubeClusterWriter implements ClusterWriter {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #serverTime: ServerTime;
  readonly #apply: (event: IndexEvent) => void;

  constructor({ client, clock, serverTime, apply }: KubeClusterWriterOptions) {
    this.#client = client;
    this.#clock = clock;
    this.#serverTime = serverTime;
    this.#apply = apply;
  }

  async createTicket(order: TicketOrder): Promise<WriteOutcome> {
    const { victim } = order;
    const read = await this.#readPod(victim);
    if (read === null || isTerminating(read.pod) || isTerminal(read.pod)) return 'moved';
    let ticket: Ticket;
    try {
      ticket = this.#seenTicket(
        await this.#client.create(RESOURCES.reprieves, victim.namespace, ticketObject(order, read.raw)),
      );
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const raw = await ifFound(this.#client.get(RESOURCES.reprieves, victim.namespace, order.name));
      if (raw === null) return 'moved';
      ticket = this.#seenTicket(raw);
      if (ticket.deleting || ticket.decision.id !== order.decision.id || ticket.pod.uid !== victim.uid) return 'moved';
      if (wireOf<{ status: ReprieveStatus }>(raw).status?.phase) return 'done';
    }
    return this.setTicketPhase(ticket, { phase: 'Saving', reason: 'Saving', message: 'its state is being saved' });
  }

  async deleteTicket({ namespace, name, uid }: Ticket, whileStands: PodRef | null): Promise<WriteOutcome> {
    if (whileStands !== null && !(await this.#stands(whileStands))) return 'moved';
    const answer = await this.#deleted(this.#client.delete(RESOURCES.reprieves, namespace, name, { uid }));
    if (answer !== null) this.#seenTicket(answer);
    return 'done';
  }

  async adoptTicket(ticket: Ticket, decision: Decision): Promise<WriteOutcome> {
    const patch = { spec: { decision: decisionIn(decision) } };
    return this.#patchTicket(ticket, patch, {}, (now) => now.decision.id === decision.id);
  }

  async createCheckpoint(order: CheckpointOrder): Promise<WriteOutcome> {
    const { namespace, name } = order;
    try {
      this.#seenCheckpoint(await this.#client.create(RESOURCES.podCheckpoints, namespace, checkpointObject(order)));
      return 'done';
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    const raw = await ifFound(this.#client.get(RESOURCES.podCheckpoints, namespace, name));
    if (raw === null) return 'moved';
    const existing = this.#seenCheckpoint(raw);
    // Names of ours hold the id of their decision.
    const isOurs = existing.reason === order.reason && existing.podUid === order.pod.uid;
    return isOurs && !existing.deleting ? 'done' : 'moved';
  }

  async deleteCheckpoint({ namespace, name, uid }: Checkpoint, whileStands: PodRef | null): Promise<WriteOutcome> {
    if (whileStands !== null && !(await this.#stands(whileStands))) return 'moved';
    const answer = await this.#deleted(this.#client.delete(RESOURCES.podCheckpoints, namespace, name, { uid }));
    if (answer !== null) this.#seenCheckpoint(answer);
    return 'done';
  }

  async releaseCheckpoint({ namespace, name, uid }: Checkpoint): Promise<WriteOutcome> {
    return this.#untilUnchanged(async () => {
      const raw = await ifFound(this.#client.get(RESOURCES.podCheckpoints, namespace, name));
      if (raw === null || raw.metadata.uid !== uid) return 'done';
      const finalizers = raw.metadata.finalizers?.filter((finalizer) => finalizer !== AGENT_FINALIZER) ?? [];
      if (finalizers.length === (raw.metadata.finalizers?.length ?? 0)) return 'done';
      const patch = { metadata: { resourceVersion: raw.metadata.resourceVersion, finalizers } };
      const answer = await ifFound(
        this.#client.patch(RESOURCES.podCheckpoints, namespace, name, patch, { type: 'merge' }),
      );
      if (answer !== null) this.#seenCheckpoint(answer);
      return 'done';
    });
  }

  async nominate(ref: PodRef, node: NodeName | null): Promise<WriteOutcome> {
    return this.#untilUnchanged(async () => {
      const read = await this.#readPod(ref);
      // With the pod gone or placed, nothing is reserved any more: what clearing asks for.
      const settled = node === null ? 'done' : 'moved';
      if (read === null || read.pod.nodeName !== null || isTerminal(read.pod)) return settled;
      if (read.pod.nominatedNodeName === node) return 'done';
      const patch = { ...locked(read.raw), status: { nominatedNodeName: node } };
      const answer = await ifFound(
        this.#client.patch(RESOURCES.pods, ref.namespace, ref.name, patch, { type: 'merge', subresource: 'status' }),
      );
      if (answer === null) return settled;
      this.#seenPod(answer);
      return 'done';
    });
  }

  /**
   * GET, mark, DELETE, each at the version of the one before: what is deleted is the frozen pod that was read, or nothing.
   * A mark on a pod that in the end is not deleted needs no cleaning: the disruption controller resets it after two minutes.
   * A delete that relies on the pod being frozen follows `src/domain/thaw-rule.ts`: it is sent in time, or not at all.
   */
  async evict(order: EvictionOrder): Promise<WriteOutcome> {
    const { victim, frozenBy } = order;
    const thawAtMs = order.thawAtMs ?? Infinity;
    const maySend = (): boolean => this.#serverTime.latestMs() < lastEvictionMs(thawAtMs);
    return this.#untilUnchanged(async () => {
      let read = await this.#readPod(victim);
      if (read === null || isTerminating(read.pod) || isTerminal(read.pod)) return 'done';
      if (frozenBy !== null && read.pod.frozenBy !== frozenBy) return 'moved';
      if (!read.pod.disruptionTarget) {
        const patch = { ...locked(read.raw), status: { conditions: [this.#disruptionTarget()] } };
        const marked = await ifFound(
          this.#client.patch(RESOURCES.pods, victim.namespace, victim.name, patch, {
            type: 'strategic',
            subresource: 'status',
          }),
        );
        if (marked === null) return 'done';
        read = { raw: marked, pod: this.#seenPod(marked) };
        if (isTerminating(read.pod)) return 'done';
        if (frozenBy !== null && read.pod.frozenBy !== frozenBy) return 'moved';
      }
      const { uid, resourceVersion } = read.pod;
      // An unsaved pod may change all the time; only its identity matters then.
      const preconditions = frozenBy === null ? { uid } : { uid, resourceVersion };
      if (!maySend()) return 'moved';
      const bounds = { timeoutMs: DELETE_TIMEOUT_MS, maySend };
      const answer = await ifFound(
        this.#client.delete(RESOURCES.pods, victim.namespace, victim.name, { ...preconditions, ...bounds }),
      );
      if (answer !== null && answer.metadata.uid === uid && answer.metadata.deletionTimestamp) this.#seenPod(answer);
      return 'done';
    });
  }

  async endPod(ref: PodRef): Promise<WriteOutcome> {
    return this.#untilUnchanged(async () => {
      let read = await this.#readPod(ref);
      if (read === null || isTerminating(read.pod)) return 'done';
      if (read.pod.restored?.succeeded === true) return 'moved';
      if (!isTerminal(read.pod)) {
        const condition: ConditionOf<'Pod'> = {
          type: 'DisruptionTarget',
          status: 'True',
          reason: 'RestoreFailed',
          message: 'Reprieve: another pod continues the saved state',
        };
        const marked = await this.#patchConditions(read.raw, [condition]);
        if (marked === null) return 'done';
        read = { raw: marked, pod: this.#seenPod(marked) };
        if (read.pod.restored?.succeeded === true) return 'moved';
      }
      const { uid, resourceVersion } = read.pod;
      const answer = await ifFound(
        this.#client.delete(RESOURCES.pods, ref.namespace, ref.name, { uid, resourceVersion }),
      );
      if (answer !== null && answer.metadata.uid === uid && answer.metadata.deletionTimestamp) this.#seenPod(answer);
      return 'done';
    });
  }

  async tellHeld(ref: PodRef, message: string): Promise<WriteOutcome> {
    return this.#untilUnchanged(async () => {
      const read = await this.#readPod(ref);
      if (read === null || !read.pod.gates.includes(RESTORE_GATE)) return 'moved';
      const condition: ConditionOf<'Pod'> = { type: RESTORED_CONDITION, status: 'Unknown', reason: 'Held', message };
      const answer = await this.#patchConditions(read.raw, [condition]);
      if (answer === null) return 'moved';
      this.#seenPod(answer);
      return 'done';
    });
  }

  async clearDecision({ namespace, name, uid, decide }: Ticket): Promise<WriteOutcome> {
    return this.#untilUnchanged(async () => {
      const raw = await ifFound(this.#client.get(RESOURCES.reprieves, namespace, name));
      if (raw === null || raw.metadata.uid !== uid) return 'moved';
      if (this.#seenTicket(raw).decide !== decide) return 'moved'; // decided anew, or removed
      const { resourceVersion } = raw.metadata;
      const patch = { metadata: { uid, resourceVersion, annotations: { [DECIDE_ANNOTATION]: null } } };
      const answer = await ifFound(this.#client.patch(RESOURCES.reprieves, namespace, name, patch, { type: 'merge' }));
      if (answer === null) return 'moved';
      this.#seenTicket(answer);
      return 'done';
    });
  }

  async recreatePod(ticket: Ticket): Promise<WriteOutcome> {
    const raw = await ifFound(this.#client.get(RESOURCES.reprieves, ticket.namespace, ticket.name));
    if (raw === null || raw.metadata.uid !== ticket.uid) return 'moved';
    this.#seenTicket(raw);
    try {
      this.#seenPod(await this.#client.create(RESOURCES.pods, ticket.namespace, recreatedPod(ticket, raw)));
      return 'done';
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    const existing = await ifFound(this.#client.get(RESOURCES.pods, ticket.namespace, ticket.pod.name));
    if (existing === null) return 'moved';
    const pod = this.#seenPod(existing);
    return pod.ticket === ticket.name && pod.uid !== ticket.pod.uid ? 'done' : 'moved';
  }

  async claim(ticket: Ticket, pod: Pod | null, whileGone?: PodRef): Promise<WriteOutcome> {
    if (whileGone !== undefined && (await this.#stands(whileGone))) return 'moved';
    if (pod !== null && !(await this.#nameTicket(pod, ticket))) return 'moved';
    const claim = pod === null ? null : { name: pod.name, uid: pod.uid };
    return this.#patchTicket(ticket, { status: { claim } }, STATUS, (now) => now.claim?.uid === claim?.uid);
  }

  /** False where the pod is gone, or its gate is and it does not name the ticket: it starts cold. */
  async #nameTicket(pod: PodRef, ticket: Ticket): Promise<boolean> {
    const outcome = await this.#untilUnchanged(async () => {
      const read = await this.#readPod(pod);
      if (read === null || isTerminating(read.pod)) return 'moved';
      const annotations = ticketAnnotations(ticket);
      const present = read.raw.metadata.annotations ?? {};
      if (Object.entries(annotations).every(([key, value]) => (present[key] ?? null) === value)) return 'done';
      if (!read.pod.gates.includes(RESTORE_GATE)) return 'moved';
      const { uid, resourceVersion } = read.raw.metadata;
      const patch = { metadata: { uid, resourceVersion, annotations } };
      const answer = await ifFound(
        this.#client.patch(RESOURCES.pods, pod.namespace, pod.name, patch, { type: 'merge' }),
      );
      if (answer === null) return 'moved';
      this.#seenPod(answer);
      return 'done';
    });
    return outcome === 'done';
  }

  async ungate(
    pod: Pod,
    as: { readonly ticket: Ticket; readonly placement: Placement } | null,
    ended: string | null = null,
  ): Promise<WriteOutcome> {
    return this.#untilUnchanged(async () => {
      let read = await this.#readPod(pod);
      if (read === null || isTerminating(read.pod)) return 'moved';
      if (!read.pod.gates.includes(RESTORE_GATE)) {
        return as === null || read.pod.ticket === as.ticket.name ? 'done' : 'moved';
      }
      if (ended !== null && read.pod.restored === null) {
        const told: ConditionOf<'Pod'> = {
          type: RESTORED_CONDITION,
          status: 'False',
          reason: 'TicketEnded',
          message: ended,
        };
        const marked = await this.#patchConditions(read.raw, [told]);
        if (marked === null) return 'moved';
        read = { raw: marked, pod: this.#seenPod(marked) };
      }
      const answer = await ifFound(
        this.#client.patch(RESOURCES.pods, pod.namespace, pod.name, ungatePatch(read.raw, as), { type: 'merge' }),
      );
      if (answer === null) return 'moved';
      this.#seenPod(answer);
      return 'done';
    });
  }

  async tellQueued(pod: Pod, reason: QueueReason, message: string): Promise<WriteOutcome> {
    const { namespace, name, uid, resourceVersion } = pod;
    const told: ConditionOf<'Pod'> = { type: RESTORED_CONDITION, status: 'Unknown', reason, message };
    const condition = { ...told, lastTransitionTime: secondsTimestampOf(this.#clock.now()) };
    // At the version in which it had no node: an agent that restores it has the last word.
    const patch = { metadata: { uid, resourceVersion }, status: { conditions: [condition] } };
    try {
      this.#seenPod(
        await this.#client.patch(RESOURCES.pods, namespace, name, patch, { type: 'strategic', subresource: 'status' }),
      );
      return 'done';
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return 'moved';
      throw error;
    }
  }

  async setTicketPhase(ticket: Ticket, change: PhaseChange): Promise<WriteOutcome> {
    const { phase, reason, message, whileGone, failed, afresh = false } = change;
    if (whileGone !== undefined && (await this.#stands(whileGone))) return 'moved';
    const nowMs = this.#clock.now();
    const isNewAttempt = phase === 'Restoring' && ticket.phase !== 'Restoring';
    const status = {
      observedGeneration: ticket.generation,
      phase,
      phaseTime: timestampOf(nowMs),
      attempts: ticket.attempts + (isNewAttempt ? 1 : 0),
      conditions: [restoredCondition(ticket, phase, reason, message, nowMs)],
      ...(failed && { failedNodes: [...ticket.failedNodes, failed] }),
      ...(afresh && { failedNodes: [] }),
      // Whose restore failed continues nothing; and an ended ticket that is put back waits for another pod than before.
      ...(((failed && !isFinal(phase)) || (afresh && isFinal(ticket.phase))) && { claim: null }),
    };
    const isRecorded = (now: Ticket): boolean => failed === undefined || isFailedPod(now, failed.pod);
    return this.#patchTicket(ticket, { status }, STATUS, (now) => now.phase === phase && isRecorded(now));
  }

  async setPolicyStatus(policy: Policy, report: PolicyReport): Promise<WriteOutcome> {
    const { name, resourceVersion } = policy;
    const patch = {
      metadata: { resourceVersion }, // also tells it from another policy that has its name by now
      status: policyStatusObject(policy, report, this.#clock.now()),
    };
    try {
      const answer = await this.#client.patch(RESOURCES.reprievePolicies, null, name, patch, {
        type: 'merge',
        subresource: 'status',
      });
      this.#apply({ type: 'upsert', kind: 'policy', value: policyOf(answer) });
      return 'done';
    } catch (error) {
      // The watch brings what it is now.
      if (isNotFound(error) || isConflict(error)) return 'moved';
      throw error;
    }
  }

  /** `isDone` recognises our own write where its answer was lost, so that the version no longer is the one we know. */
  async #patchTicket(
    ticket: Ticket,
    change: object,
    part: typeof STATUS | Record<string, never>,
    isDone: (now: Ticket) => boolean,
  ): Promise<WriteOutcome> {
    const { namespace, name, uid, resourceVersion } = ticket;
    const patch = { metadata: { uid, resourceVersion }, ...change };
    try {
      const answer = await this.#client.patch(RESOURCES.reprieves, namespace, name, patch, { type: 'merge', ...part });
      this.#seenTicket(answer);
      return 'done';
    } catch (error) {
      if (isNotFound(error)) return 'moved';
      if (!isConflict(error)) throw error;
    }
    const raw = await ifFound(this.#client.get(RESOURCES.reprieves, namespace, name));
    if (raw === null) return 'moved';
    const now = this.#seenTicket(raw);
    return now.uid === uid && isDone(now) ? 'done' : 'moved';
  }

  /** It exists, and nobody has asked for its deletion. */
  async #stands(ref: PodRef): Promise<boolean> {
    const read = await this.#readPod(ref);
    return read !== null && !isTerminating(read.pod);
  }

  /** The pod as it is now; null when it is gone or another one has its name. */
  async #readPod(ref: PodRef): Promise<{ readonly raw: KubeObject; readonly pod: Pod } | null> {
    const raw = await ifFound(this.#client.get(RESOURCES.pods, ref.namespace, ref.name));
    if (raw === null) return null;
    const pod = this.#seenPod(raw);
    return pod.uid === ref.uid ? { raw, pod } : null;
  }

  /** Runs `attempt` again while it fails because somebody changed the object between its read and its write. */
  async #untilUnchanged(attempt: () => Promise<WriteOutcome>): Promise<WriteOutcome> {
    for (let count = 1; ; count++) {
      try {
        return await attempt();
      } catch (error) {
        if (!isConflict(error)) throw error;
        if (count === CONFLICT_ATTEMPTS) return 'moved';
      }
    }
  }

  /** The object with its deletionTimestamp; null where nothing of that UID is left. */
  async #deleted(answer: Promise<KubeObject>): Promise<KubeObject | null> {
    try {
      const object = await answer;
      return object.metadata?.deletionTimestamp ? object : null;
    } catch (error) {
      // With a UID as the only precondition, a conflict says that another object has this name by now.
      if (isNotFound(error) || isConflict(error)) return null;
      throw error;
    }
  }

  /** At the version that was read; null where the pod is gone. */
  #patchConditions(raw: KubeObject, conditions: readonly ConditionOf<'Pod'>[]): Promise<KubeObject | null> {
    const { namespace = null, name } = raw.metadata;
    const lastTransitionTime = secondsTimestampOf(this.#clock.now());
    const patch = {
      ...locked(raw),
      status: { conditions: conditions.map((condition) => ({ ...condition, lastTransitionTime })) },
    };
    const options = { type: 'strategic', subresource: 'status' } as const;
    return ifFound(this.#client.patch(RESOURCES.pods, namespace, name, patch, options));
  }

  #disruptionTarget(): object {
    const condition: ConditionOf<'Pod'> = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'PreemptionByScheduler',
      message: 'default-scheduler: preempting to accommodate a higher priority pod',
    };
    return { ...condition, lastTransitionTime: secondsTimestampOf(this.#clock.now()) };
  }

  #seenPod(raw: KubeObject): Pod {
    const value = podOf(raw);
    this.#apply({ type: 'upsert', kind: 'pod', value });
    return value;
  }

  #seenTicket(raw: KubeObject): Ticket {
    const value = ticketOf(raw);
    this.#apply({ type: 'upsert', kind: 'ticket', value });
    return value;
  }

  #seenCheckpoint(raw: KubeObject): Checkpoint {
    const value = checkpointOf(raw);
    this.#apply({ type: 'upsert', kind: 'checkpoint', value });
    return value;
  }
}

const STATUS = { subresource: 'status' } as const;

/** Makes a patch fail with 409 unless it meets this object at this version. */
function locked({ metadata: { uid, resourceVersion } }: KubeObject): object {
  return { metadata: { uid, resourceVersion } };
}

function ungatePatch(raw: KubeObject, as: { readonly ticket: Ticket; readonly placement: Placement } | null): object {
  const { spec } = wireOf<V1Pod>(raw);
  const gates = spec?.schedulingGates?.filter(({ name }) => name !== RESTORE_GATE) ?? [];
  const { uid, resourceVersion } = raw.metadata;
  if (as === null) {
    // A bare pod that was made again names its ticket from the start; it no longer continues it.
    const annotations = { [TICKET_ANNOTATION]: null, [ON_FAILURE_ANNOTATION]: null };
    return { metadata: { uid, resourceVersion, annotations }, spec: { schedulingGates: gates } };
  }
  const { ticket, placement } = as;
  const { excludedNodes } = placement;
  const annotations = {
    ...ticketAnnotations(ticket),
    ...(excludedNodes.length > 0 && { [EXCLUDED_NODES_ANNOTATION]: excludedNodes.join(',') }),
    [DISPLACEMENTS_ANNOTATION]: String(ticket.pod.displacements + 1),
  };
  return {
    metadata: { uid, resourceVersion, annotations },
    spec: { schedulingGates: gates, affinity: { nodeAffinity: nodeAffinityWith(spec?.affinity, placement) } },
  };
}
