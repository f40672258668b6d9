import type { V1Pod } from '@kubernetes/client-node';
import type { ConditionOf } from '../../domain/condition-reasons.ts';
import type { NodeName } from '../../domain/ids.ts';
import {
  DISPLACE_ANNOTATION,
  DISPLACEMENTS_ANNOTATION,
  EXCLUDED_NODES_ANNOTATION,
  GATE_EXPIRED_ANNOTATION,
  ON_FAILURE_ANNOTATION,
  RESTORED_CONDITION,
  RESTORE_GATE,
  TICKET_ANNOTATION,
} from '../../domain/labels.ts';
import { isTerminal, isTerminating, type Pod } from '../../domain/pod.ts';
import { interruptionsOf, type Ticket } from '../../domain/ticket.ts';
import type { Placement, PodRef, QueueReason, WriteOutcome } from '../../ports/cluster-writer.ts';
import { ifFound, isAlreadyExists, isConflict, isForbidden } from '../api-error.ts';
import { nodeAffinityWith } from '../placement-affinity.ts';
import { wireOf } from '../project/wire.ts';
import { RESOURCES } from '../resources.ts';
import { handedOver, isCreatedForTicket } from '../given-fields.ts';
import { creatorsIn, recreatedPod, ticketAnnotations } from '../pod-template.ts';
import type { KubeObject, ObjectMeta } from '../transport.ts';
import { untilUnchanged, type IndexedClient, type PodAnswer, type PodChange } from './indexed-client.ts';

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
  async recreate(ticket: Ticket, plain: boolean): Promise<WriteOutcome> {
    const { client } = this.#indexed;
    const { namespace } = ticket;
    const raw = await ifFound(client.get(RESOURCES.reprieves, namespace, ticket.name));
    if (raw === null || raw.metadata.uid !== ticket.uid) return 'moved';
    this.#indexed.seenTicket(raw);
    let created: KubeObject | null = null;
    try {
      created = await this.#createOwned(namespace, recreatedPod(ticket, raw, plain));
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    if (created !== null) {
      const made = this.#indexed.seenPod(created);
      return untilUnchanged(async () => {
        const read = await this.#indexed.readPod(made);
        return read === null ? 'done' : this.#handOver(read, raw);
      });
    }
    const existing = await ifFound(client.get(RESOURCES.pods, namespace, ticket.pod.name));
    if (existing === null) return 'moved';
    const pod = this.#indexed.seenPod(existing);
    return pod.ticket === ticket.name && pod.uid !== ticket.pod.uid ? 'done' : 'moved';
  }

  /**
   * Where OwnerReferencesPermissionEnforcement is on, as on OpenShift, only who may change the finalizers of an owner may let the pod
   * delay its deletion. Reprieve may not, so there the new pod only belongs to its owners.
   */
  async #createOwned(namespace: string, pod: { readonly metadata: ObjectMeta }): Promise<KubeObject> {
    const { client } = this.#indexed;
    try {
      return await client.create(RESOURCES.pods, namespace, pod);
    } catch (error) {
      const { ownerReferences = [] } = pod.metadata;
      if (!isForbidden(error) || !ownerReferences.some((owner) => owner.blockOwnerDeletion)) throw error;
      const owners = ownerReferences.map(({ blockOwnerDeletion: _delays, ...owner }) => owner);
      const metadata = { ...pod.metadata, ownerReferences: owners };
      return client.create(RESOURCES.pods, namespace, { ...pod, metadata });
    }
  }

  /** `moved` if the pod is being deleted, or if it lost its gate before it named the ticket: such a pod starts cold. */
  async nameTicket(pod: PodRef, ticket: Ticket): Promise<WriteOutcome> {
    const annotations = ticketAnnotations(ticket);
    return untilUnchanged(async () => {
      const read = await this.#indexed.readPod(pod);
      if (read === null || isTerminating(read.pod)) return 'moved';
      const present = read.raw.metadata.annotations ?? {};
      if (Object.entries(annotations).every(([key, value]) => (present[key] ?? null) === value))
        return this.#handOverAfterCrash(read, ticket);
      if (!read.pod.gates.includes(RESTORE_GATE)) return 'moved';
      return doneIfFound(await this.#indexed.patchPod(read.pod, { metadata: { annotations } }, MERGE));
    });
  }

  /** Gives the fields of a bare pod that Reprieve created to the managers that had them in the displaced pod. */
  async #handOver({ raw, pod }: PodAnswer, rawTicket: KubeObject): Promise<WriteOutcome> {
    const managedFields = handedOver(raw, creatorsIn(rawTicket));
    if (managedFields === null) return 'done';
    return doneIfFound(await this.#indexed.patchPod(pod, { metadata: { managedFields } }, MERGE));
  }

  /** A process that died between its two writes left all fields to Reprieve. */
  async #handOverAfterCrash(read: PodAnswer, { namespace, name }: Ticket): Promise<WriteOutcome> {
    if (!isCreatedForTicket(read.raw)) return 'done';
    const rawTicket = await ifFound(this.#indexed.client.get(RESOURCES.reprieves, namespace, name));
    return rawTicket === null ? 'done' : this.#handOver(read, rawTicket);
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
  // It comes in the place of a displaced pod. What asks to displace it is of its template, and would ask again for each replacement.
  const displaced = { [DISPLACE_ANNOTATION]: null };
  if (as === null) {
    // A bare pod that was created again names its ticket from the start. The pod no longer continues the ticket.
    const annotations = { ...displaced, [TICKET_ANNOTATION]: null, [ON_FAILURE_ANNOTATION]: null };
    return { metadata: { annotations }, spec: { schedulingGates } };
  }
  const { ticket, placement } = as;
  const { excludedNodes, anywhere } = placement;
  const annotations = {
    ...displaced,
    ...ticketAnnotations(ticket),
    ...(excludedNodes.length > 0 && { [EXCLUDED_NODES_ANNOTATION]: excludedNodes.join(',') }),
    ...(anywhere && { [GATE_EXPIRED_ANNOTATION]: 'true' }),
    [DISPLACEMENTS_ANNOTATION]: String(ticket.pod.displacements + 1 + interruptionsOf(ticket)),
  };
  return {
    metadata: { annotations },
    spec: { schedulingGates, affinity: { nodeAffinity: nodeAffinityWith(spec?.affinity, placement) } },
  };
}
