import type { V1Pod } from '@kubernetes/client-node';
import type { ConditionOf } from '../../domain/condition-reasons.ts';
import type { NodeName } from '../../domain/ids.ts';
import {
  DISPLACEMENTS_ANNOTATION,
  EXCLUDED_NODES_ANNOTATION,
  ON_FAILURE_ANNOTATION,
  RESTORED_CONDITION,
  RESTORE_GATE,
  TICKET_ANNOTATION,
} from '../../domain/labels.ts';
import { isTerminal, isTerminating, type Pod } from '../../domain/pod.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type { Placement, PodRef, QueueReason, WriteOutcome } from '../../ports/cluster-writer.ts';
import { ifFound, isAlreadyExists, isConflict } from '../api-error.ts';
import { nodeAffinityWith } from '../placement-affinity.ts';
import { wireOf } from '../project/wire.ts';
import { RESOURCES } from '../resources.ts';
import { recreatedPod, ticketAnnotations } from '../ticket-object.ts';
import type { KubeObject } from '../transport.ts';
import { untilUnchanged, type IndexedClient, type PodChange } from './indexed-client.ts';

const MERGE = { type: 'merge' } as const;
const MERGE_STATUS = { type: 'merge', subresource: 'status' } as const;

/** Writes to pods that are not running yet: the nomination of a preemptor; gate, ticket and condition of a pod that continues a ticket. */
export class PodWrites {
  readonly #indexed: IndexedClient;

  constructor(indexed: IndexedClient) {
    this.#indexed = indexed;
  }

  async nominate(ref: PodRef, node: NodeName | null): Promise<WriteOutcome> {
    // A pod that has been deleted or bound reserves no node: clearing the nomination is done.
    const settled = node === null ? 'done' : 'moved';
    return untilUnchanged(async () => {
      const read = await this.#indexed.readPod(ref);
      if (read === null || read.pod.nodeName !== null || isTerminal(read.pod)) return settled;
      if (read.pod.nominatedNodeName === node) return 'done';
      const status = { nominatedNodeName: node };
      return (await this.#indexed.patchPod(read.pod, { status }, MERGE_STATUS)) === null ? settled : 'done';
    });
  }

  /** Creates the pod, unless a pod with this name already continues the ticket. */
  async recreate(ticket: Ticket): Promise<WriteOutcome> {
    const { client } = this.#indexed;
    const { namespace } = ticket;
    const raw = await ifFound(client.get(RESOURCES.reprieves, namespace, ticket.name));
    if (raw === null || raw.metadata.uid !== ticket.uid) return 'moved';
    this.#indexed.seenTicket(raw);
    try {
      this.#indexed.seenPod(await client.create(RESOURCES.pods, namespace, recreatedPod(ticket, raw)));
      return 'done';
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    const existing = await ifFound(client.get(RESOURCES.pods, namespace, ticket.pod.name));
    if (existing === null) return 'moved';
    const pod = this.#indexed.seenPod(existing);
    return pod.ticket === ticket.name && pod.uid !== ticket.pod.uid ? 'done' : 'moved';
  }

  /** `moved` if the pod is being deleted, or if it lost its gate before it named the ticket: such a pod starts cold. */
  async nameTicket(pod: PodRef, ticket: Ticket): Promise<WriteOutcome> {
    const annotations = ticketAnnotations(ticket);
    return untilUnchanged(async () => {
      const read = await this.#indexed.readPod(pod);
      if (read === null || isTerminating(read.pod)) return 'moved';
      const present = read.raw.metadata.annotations ?? {};
      if (Object.entries(annotations).every(([key, value]) => (present[key] ?? null) === value)) return 'done';
      if (!read.pod.gates.includes(RESTORE_GATE)) return 'moved';
      return doneIfFound(await this.#indexed.patchPod(read.pod, { metadata: { annotations } }, MERGE));
    });
  }

  async ungate(
    pod: Pod,
    as: { readonly ticket: Ticket; readonly placement: Placement } | null,
    ended: string | null,
  ): Promise<WriteOutcome> {
    return untilUnchanged(async () => {
      let read = await this.#indexed.readPod(pod);
      if (read === null || isTerminating(read.pod)) return 'moved';
      if (!read.pod.gates.includes(RESTORE_GATE)) {
        return as === null || read.pod.ticket === as.ticket.name ? 'done' : 'moved';
      }
      if (ended !== null && read.pod.restored === null) {
        const told = { type: RESTORED_CONDITION, status: 'False', reason: 'TicketEnded', message: ended } as const;
        read = await this.#indexed.setPodCondition(read.pod, told);
        if (read === null) return 'moved';
      }
      return doneIfFound(await this.#indexed.patchPod(read.pod, ungated(read.raw, as), MERGE));
    });
  }

  async tellHeld(ref: PodRef, message: string): Promise<WriteOutcome> {
    const held: ConditionOf<'Pod'> = { type: RESTORED_CONDITION, status: 'Unknown', reason: 'Held', message };
    return untilUnchanged(async () => {
      const read = await this.#indexed.readPod(ref);
      if (read === null || !read.pod.gates.includes(RESTORE_GATE)) return 'moved';
      return doneIfFound(await this.#indexed.setPodCondition(read.pod, held));
    });
  }

  /** Writes at the version at which the pod had no node: a node agent that restores the pod has the last word. */
  async tellQueued(pod: Pod, reason: QueueReason, message: string): Promise<WriteOutcome> {
    const queued: ConditionOf<'Pod'> = { type: RESTORED_CONDITION, status: 'Unknown', reason, message };
    try {
      return doneIfFound(await this.#indexed.setPodCondition(pod, queued));
    } catch (error) {
      if (isConflict(error)) return 'moved';
      throw error;
    }
  }
}

function doneIfFound(answer: object | null): WriteOutcome {
  return answer === null ? 'moved' : 'done';
}

function ungated(raw: KubeObject, as: { readonly ticket: Ticket; readonly placement: Placement } | null): PodChange {
  const { spec } = wireOf<V1Pod>(raw);
  const schedulingGates = spec?.schedulingGates?.filter(({ name }) => name !== RESTORE_GATE) ?? [];
  if (as === null) {
    // A bare pod that was created again names its ticket from the start. The pod no longer continues the ticket.
    const annotations = { [TICKET_ANNOTATION]: null, [ON_FAILURE_ANNOTATION]: null };
    return { metadata: { annotations }, spec: { schedulingGates } };
  }
  const { ticket, placement } = as;
  const { excludedNodes } = placement;
  const annotations = {
    ...ticketAnnotations(ticket),
    ...(excludedNodes.length > 0 && { [EXCLUDED_NODES_ANNOTATION]: excludedNodes.join(',') }),
    [DISPLACEMENTS_ANNOTATION]: String(ticket.pod.displacements + 1),
  };
  return {
    metadata: { annotations },
    spec: { schedulingGates, affinity: { nodeAffinity: nodeAffinityWith(spec?.affinity, placement) } },
  };
}
