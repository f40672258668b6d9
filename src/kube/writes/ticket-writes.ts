import type { StateRecord } from '../../domain/checkpoint.ts';
import { DECIDE_ANNOTATION } from '../../domain/labels.ts';
import { isTerminal, isTerminating, type Pod } from '../../domain/pod.ts';
import type { Displacement } from '../../domain/displacement.ts';
import { isFinal, makesWay, type Ticket } from '../../domain/ticket.ts';
import type { PhaseChange, PodRef, TicketOrder, TicketWord, WriteOutcome } from '../../ports/cluster-writer.ts';
import { ifFound, isAlreadyExists, isConflict, isNotFound } from '../api-error.ts';
import { MAX_REPLACED_PODS, type ReprieveStatus } from '../crd/reprieve.ts';
import { secondsTimestampOf, timestampOf } from '../project/time.ts';
import { wireOf } from '../project/wire.ts';
import { RESOURCES } from '../resources.ts';
import { restoredCondition } from '../ticket-condition.ts';
import { displacementIn, ticketObject } from '../ticket-object.ts';
import { untilUnchanged, whileDeleting, type IndexedClient } from './indexed-client.ts';

const STATUS = { subresource: 'status' } as const;

/** Writes to Reprieves (tickets). All but the deletion are made at the version that the caller decided on. */
export class TicketWrites {
  readonly #indexed: IndexedClient;

  constructor(indexed: IndexedClient) {
    this.#indexed = indexed;
  }

  async create(order: TicketOrder): Promise<WriteOutcome> {
    const { client } = this.#indexed;
    const { victim } = order;
    const read = await this.#indexed.readPod(victim);
    if (read === null || isTerminating(read.pod) || isTerminal(read.pod)) return 'moved';
    let ticket: Ticket;
    try {
      const created = await client.create(RESOURCES.reprieves, victim.namespace, ticketObject(order, read.raw));
      ticket = this.#indexed.seenTicket(created);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const raw = await ifFound(client.get(RESOURCES.reprieves, victim.namespace, order.name));
      if (raw === null) return 'moved';
      ticket = this.#indexed.seenTicket(raw);
      if (ticket.deleting || ticket.displacement.id !== order.displacement.id || ticket.pod.uid !== victim.uid)
        return 'moved';
      if (wireOf<{ status: ReprieveStatus }>(raw).status?.phase) return 'done';
    }
    return this.setPhase(ticket, { phase: 'Saving', reason: 'Saving', message: 'its state is being saved' });
  }

  async delete({ namespace, name, uid }: Ticket, whileStands: PodRef | null): Promise<WriteOutcome> {
    if (whileStands !== null && !(await this.#indexed.stands(whileStands))) return 'moved';
    const answer = await whileDeleting(this.#indexed.client.delete(RESOURCES.reprieves, namespace, name, { uid }));
    if (answer !== null) this.#indexed.seenTicket(answer);
    return 'done';
  }

  async adopt(ticket: Ticket, displacement: Displacement): Promise<WriteOutcome> {
    const patch = { spec: { displacement: displacementIn(displacement), decision: null } };
    return this.#patch(ticket, patch, {}, (now) => now.displacement.id === displacement.id);
  }

  async setClaim(ticket: Ticket, pod: PodRef | null, state?: StateRecord): Promise<WriteOutcome> {
    const claim = pod === null ? null : { name: pod.name, uid: pod.uid };
    return this.#patch(
      ticket,
      { status: { claim, ...stateIn(state) } },
      STATUS,
      (now) => now.claim?.uid === claim?.uid,
    );
  }

  async setPhase(ticket: Ticket, change: PhaseChange): Promise<WriteOutcome> {
    const { phase, reason, message, evictedMs, whileGone, whileAt, failed, claim, replaced, afresh = false } = change;
    if (whileGone !== undefined && (await this.#indexed.stands(whileGone))) return 'moved';
    if (whileAt !== undefined && !(await this.#isStillAt(whileAt))) return 'moved';
    const nowMs = this.#indexed.clock.now();
    const isNewAttempt = phase === 'Restoring' && ticket.phase !== 'Restoring';
    const status = {
      observedGeneration: ticket.generation,
      phase,
      phaseTime: timestampOf(nowMs),
      attempts: ticket.attempts + (isNewAttempt ? 1 : 0),
      conditions: [restoredCondition(ticket, phase, reason, message, nowMs)],
      waitsFor: null,
      blocked: null,
      ...stateIn(change.state),
      ...(evictedMs !== undefined && { evictedTime: secondsTimestampOf(evictedMs) }),
      ...(failed && { failedNodes: [...ticket.failedNodes, failed] }),
      ...(claim && { claim: { name: claim.name, uid: claim.uid } }),
      ...(replaced && { replacedPods: [...ticket.replacedPods, replaced].slice(-MAX_REPLACED_PODS) }),
      ...(afresh && { failedNodes: [], replacedPods: [] }),
      // A pod whose restore failed, and one that is replaced, continues no ticket. An ended ticket that is put back waits for
      // another pod than before.
      ...(((failed && !isFinal(phase)) || replaced || (afresh && isFinal(ticket.phase))) && { claim: null }),
    };
    const recorded = failed ?? replaced;
    const isRecorded = (now: Ticket): boolean => recorded === undefined || makesWay(now, recorded.pod);
    return this.#patch(ticket, { status }, STATUS, (now) => now.phase === phase && isRecorded(now));
  }

  /** False where the pod was bound or restored since it was seen. */
  async #isStillAt(seen: Pod): Promise<boolean> {
    const read = await this.#indexed.readPod(seen);
    return read === null || (read.pod.nodeName === seen.nodeName && read.pod.restored === null);
  }

  async tell(ticket: Ticket, { condition, waitsFor, blocked }: TicketWord): Promise<WriteOutcome> {
    const nowMs = this.#indexed.clock.now();
    const status = {
      waitsFor,
      blocked,
      ...(condition && {
        conditions: [restoredCondition(ticket, ticket.phase, condition.reason, condition.message, nowMs)],
      }),
    };
    const isTold = (now: Ticket): boolean =>
      now.waitsFor === waitsFor && (condition === null || now.said.message === condition.message);
    return this.#patch(ticket, { status }, STATUS, isTold);
  }

  async clearDecision({ namespace, name, uid, decide }: Ticket): Promise<WriteOutcome> {
    const { client } = this.#indexed;
    return untilUnchanged(async () => {
      const raw = await ifFound(client.get(RESOURCES.reprieves, namespace, name));
      if (raw === null || raw.metadata.uid !== uid) return 'moved';
      if (this.#indexed.seenTicket(raw).decide !== decide) return 'moved'; // decided anew, or removed
      const { resourceVersion } = raw.metadata;
      const patch = { metadata: { uid, resourceVersion, annotations: { [DECIDE_ANNOTATION]: null } } };
      const answer = await ifFound(client.patch(RESOURCES.reprieves, namespace, name, patch, { type: 'merge' }));
      if (answer === null) return 'moved';
      this.#indexed.seenTicket(answer);
      return 'done';
    });
  }

  /** `isDone` recognises our own write if its answer was lost: the ticket then has a version that the caller does not know. */
  async #patch(
    ticket: Ticket,
    change: object,
    part: typeof STATUS | Record<string, never>,
    isDone: (now: Ticket) => boolean,
  ): Promise<WriteOutcome> {
    const { client } = this.#indexed;
    const { namespace, name, uid, resourceVersion } = ticket;
    const patch = { metadata: { uid, resourceVersion }, ...change };
    try {
      const answer = await client.patch(RESOURCES.reprieves, namespace, name, patch, { type: 'merge', ...part });
      this.#indexed.seenTicket(answer);
      return 'done';
    } catch (error) {
      if (isNotFound(error)) return 'moved';
      if (!isConflict(error)) throw error;
    }
    const raw = await ifFound(client.get(RESOURCES.reprieves, namespace, name));
    if (raw === null) return 'moved';
    const now = this.#indexed.seenTicket(raw);
    return now.uid === uid && isDone(now) ? 'done' : 'moved';
  }
}

function stateIn(state: StateRecord | undefined): Pick<ReprieveStatus, 'state'> {
  if (state === undefined) return {};
  const { compatibility, ...record } = state;
  return { state: { ...record, ...(compatibility !== null && { compatibility }) } };
}
