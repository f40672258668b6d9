import { returnsToItsNode } from '../../domain/owner-kinds.ts';
import type { PodOwner } from '../../domain/pod.ts';
import type { Policy } from '../../domain/policy.ts';
import { selectsPod } from '../../domain/protection.ts';
import { isFinal, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView, IndexEvent } from '../../index/types.ts';
import type { Clock } from '../../ports/clock.ts';
import { WATCH_LAG_MS } from '../core/steps.ts';
import type { EngineEvents } from '../engine-events.ts';
import type { AdmissionRequest, AdmissionVerdict } from '../preemption/callbacks.ts';
import { sameIdentity, ticketsOfKin } from './claims.ts';
import { GatedCreations, type GatedCreationsOptions } from './gated-creations.ts';

export interface AdmissionOptions {
  readonly view: ClusterView;
  readonly clock: Clock;
  /** The index holds everything the API server had. */
  readonly isSynced: () => boolean;
  /** This process decides and writes: its own tickets are in its index before their victims are deleted. */
  readonly mayAct: () => boolean;
  /** The index holds each ticket whose victim may have been evicted by another process (`displace/barrier.ts`). */
  readonly knowsTickets: () => boolean;
  /** Tickets of an owner, or of the pods of a namespace that have none (null), straight from the API server. */
  readonly readTickets: (namespace: string, ownerUid: string | null) => Promise<readonly Ticket[]>;
  /** See {@link GatedCreationsOptions.probe}. */
  readonly probePod: GatedCreationsOptions['probe'];
  readonly events: EngineEvents;
}

/**
 * Answers the webhook: a new pod that may continue a ticket gets the scheduling gate. The answer comes from the index; the API
 * server is asked only while the index may lack a ticket.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  /** Those that were last seen, and since when. */
  #policies: readonly Policy[] | null = null;
  #policiesSinceMs = Number.POSITIVE_INFINITY;
  readonly #creations: GatedCreations;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const { clock, probePod, events } = options;
    this.#creations = new GatedCreations({
      clock,
      probe: probePod,
      onAside: ({ namespace, owner }, message) => events.emit('admission:aside', { namespace, owner, message }),
    });
  }

  /** A change of the index. */
  seen(event: IndexEvent): void {
    this.#creations.seen(event);
  }

  async admit(request: AdmissionRequest): Promise<AdmissionVerdict> {
    if (request.gated) return { gate: false, reason: 'AlreadyGated' };
    const { owner, name } = request;
    // No bare pod that was saved had a name that is yet to be generated.
    if (owner === null && name === null) return { gate: false, reason: 'NoOwner' };
    const { view, mayAct, knowsTickets, readTickets, events } = this.#options;
    const continues = (ticket: Ticket): boolean => mayComeFree(view, ticket) && sameIdentity(ticket, request);
    const known = ticketsOfKin(view, request).filter(continues);
    if (known.length > 0) return this.#answerFor(known, request);
    if (mayAct() || knowsTickets() || this.#cannotHaveTicket(request, owner))
      return { gate: false, reason: 'NoTicket' };
    events.emit('admission:read', { namespace: request.namespace });
    const tickets = (await readTickets(request.namespace, owner?.uid ?? null)).filter(continues);
    return tickets.length > 0 ? this.#answerFor(tickets, request) : { gate: false, reason: 'NoTicket' };
  }

  /**
   * No gate where the API server refuses a pod with it, or a pod of our RuntimeClass: the controller could create no pod at all. For the
   * same reason none for a bare pod that Reprieve makes without both.
   */
  #answerFor(tickets: readonly Ticket[], request: AdmissionRequest): AdmissionVerdict {
    const { owner, plainFor } = request;
    if (owner === null && tickets.some(({ name }) => name === plainFor)) return { gate: false, reason: 'MadePlain' };
    if (!this.#options.view.hasRuntimeClass()) return { gate: false, reason: 'NoRuntimeClass' };
    if (this.#creations.isAside(request)) return { gate: false, reason: 'RefusedWithGate' };
    this.#creations.gated(request);
    return { gate: true, reason: 'OpenTicket' };
  }

  /**
   * Pods of this owner are never protected, or no policy selects the new pod, and has not for longer than one watch may be
   * behind another: a ticket of the owner would have come into the index.
   */
  #cannotHaveTicket(request: AdmissionRequest, owner: PodOwner | null): boolean {
    if (owner !== null && returnsToItsNode(owner)) return true;
    const { view, clock, isSynced } = this.#options;
    const policies = view.policies();
    if (policies !== this.#policies) {
      this.#policies = policies;
      this.#policiesSinceMs = clock.monotonic();
    }
    if (!isSynced() || clock.monotonic() < this.#policiesSinceMs + WATCH_LAG_MS) return false;
    const labels = view.namespaceLabels(request.namespace);
    return !policies.some((policy) => selectsPod(policy, request, labels));
  }
}

/**
 * A new pod may continue it. Also while another pod claims it: the controller may know of that pod's end before this index does, and
 * makes the next pod in that moment. A pod that came beside the claiming pod loses its gate as soon as the leader sees both.
 */
function mayComeFree(view: ClusterView, { namespace, phase, deleting, claim }: Ticket): boolean {
  if (deleting || isFinal(phase)) return false;
  return claim === null || view.podOf({ namespace, uid: claim.uid })?.restored == null;
}
