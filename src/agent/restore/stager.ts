import type { Checkpoint } from '../../domain/checkpoint.ts';
import { GATE_EXPIRED_ANNOTATION, TICKET_ANNOTATION } from '../../domain/labels.ts';
import { differingFields } from '../../domain/restore-shape.ts';
import { isFinal, type Ticket } from '../../domain/ticket.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import { controllerOf } from '../../kube/project/metadata.ts';
import { restoreShapeOf } from '../../kube/project/restore-shape.ts';
import { ticketOf } from '../../kube/project/ticket.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { NodeApi } from '../node-api.ts';
import { lastingContainers } from '../pods/spec-containers.ts';
import type { StateStore } from '../state/state-store.ts';
import type { RestoreRefusal, Staging } from './restore-hands.ts';
import { keyOf } from '../orders/order.ts';
import { ticketWord, type TicketWord } from './ticket-word.ts';

export interface StagerOptions {
  readonly nodeName: string;
  readonly api: NodeApi;
  /** Class of this node; null: not known. */
  readonly compatibility: () => string | null;
  readonly store: Pick<StateStore, 'open'>;
}

/**
 * Finds the state that a pod is to continue: ticket, PodCheckpoint, files. Where it lies and its digest are what the
 * ticket says: agents write PodCheckpoints, and one of them may be in the hands of others.
 */
export class Stager {
  readonly #options: StagerOptions;

  constructor(options: StagerOptions) {
    this.#options = options;
  }

  /** A refusal is a verdict about this node and this state. What may pass (a disk or API error) rejects. */
  async stage(pod: KubeObject, stop: AbortSignal): Promise<Staging> {
    const { api, nodeName, compatibility } = this.#options;
    const { namespace = '', name: podName } = pod.metadata;
    const ticketName = pod.metadata.annotations?.[TICKET_ANNOTATION] ?? '';
    const rawTicket = await api.read(RESOURCES.reprieves, namespace, ticketName, stop);
    if (rawTicket === null) return refused('CheckpointMissing', `there is no ticket ${ticketName}`);
    const ticket = ticketOf(rawTicket);
    if (isFinal(ticket.phase)) return refused('TicketEnded', `ticket ${ticketName} is ${ticket.phase}`);
    const mayBeCold = pod.metadata.annotations?.[GATE_EXPIRED_ANNOTATION] === 'true';
    const failed = ticket.failedNodes.find(
      ({ pod: uid, node }) => uid === pod.metadata.uid || (mayBeCold && node === nodeName),
    );
    if (failed !== undefined) return refused('RestoreFailed', `it failed here before: ${failed.reason}`);
    const foreign = foreignness(pod, ticket);
    if (foreign !== null) return refused('OwnerDiffers', `ticket ${ticketName}: ${foreign}`);
    const { restoreShape } = ticket;
    // By the controller as well, before the claim. But it is the node that hands the memory of one pod to another.
    const fields = differingFields(restoreShape, restoreShapeOf(pod));
    if (fields.length > 0)
      return refused('TemplateDiffers', `ticket ${ticketName} is of a pod that differs in: ${fields.join(', ')}`);
    const rawCheckpoint = await api.read(RESOURCES.podCheckpoints, namespace, ticket.checkpoint, stop);
    if (rawCheckpoint === null) return refused('CheckpointMissing', `there is no PodCheckpoint ${ticket.checkpoint}`);
    const checkpoint = checkpointOf(rawCheckpoint);
    if (!checkpoint.ready || checkpoint.podUid !== ticket.pod.uid) return holdsNone(checkpoint, podName);
    // Before the claim of the pod, Reprieve copied it here, where no agent can write.
    const { state } = ticket;
    if (state === null) throw new Error(`ticket ${ticketName} does not say where the state lies`);
    // An agent saves each state under the key of its own PodCheckpoint: another key is that of a state of others.
    if (state.reference !== keyOf(rawCheckpoint)) return holdsNone(checkpoint, podName);
    const ownClass = compatibility();
    if (state.compatibility !== null && state.compatibility !== ownClass) {
      const message = `made on class ${state.compatibility}, this node is ${ownClass ?? 'of none'}`;
      return refused('Incompatible', message);
    }
    const madeOn = state.node;
    if (madeOn !== nodeName && ticket.restore.nodes === 'Same')
      return refused('Incompatible', `its policy restores it on node ${madeOn} only`);
    const podUid = pod.metadata.uid as string;
    const { manifestDigest, node, reference } = state;
    const { bytes } = checkpoint;
    const wanted = { location: { node, reference }, manifestDigest, bytes, podUid, ticket: ticketName };
    const opened = await this.#options.store.open(wanted, stop);
    if ('refusal' in opened) return opened;
    const names = new Set(lastingContainers(pod));
    const homeless = opened.manifest.containers.find(({ name }) => !names.has(name));
    if (homeless !== undefined)
      return refused('ImagesDiffer', `container ${homeless.name} was saved, and the pod has none of that name`);
    return { refusal: null, state: { checkpoint: checkpoint.name, madeOn, ...opened } };
  }

  /** What the ticket of a pod says of it now. */
  word(pod: KubeObject, stop: AbortSignal): Promise<TicketWord> {
    return ticketWord(this.#options.api, pod, stop);
  }
}

/** Why a ticket is not this pod's; null: it is. Anybody may write the annotation that names it. */
function foreignness(pod: KubeObject, ticket: Ticket): string | null {
  if (ticket.claim?.uid !== pod.metadata.uid) return 'it was not claimed by this pod';
  const owner = controllerOf(pod);
  if (ticket.owner?.uid !== owner?.uid) return `the displaced pod belonged to ${nameOf(ticket.owner)}`;
  return null;
}

function holdsNone({ name }: Checkpoint, podName: string): { readonly refusal: RestoreRefusal } {
  return refused('CheckpointMissing', `PodCheckpoint ${name} holds no saved state of ${podName}`);
}

function nameOf(owner: Ticket['owner']): string {
  return owner === null ? 'nobody' : `${owner.kind} ${owner.name}`;
}

function refused(reason: RestoreRefusal['reason'], message: string): { readonly refusal: RestoreRefusal } {
  return { refusal: { reason, message } };
}
