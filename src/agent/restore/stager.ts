import { messageOf } from '../../domain/message-of.ts';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PeerConfiguration } from '../../config/configuration.ts';
import { PEER_ANNOTATION, TICKET_ANNOTATION } from '../../domain/labels.ts';
import { isFinal, type Ticket } from '../../domain/ticket.ts';
import type { PodCheckpointStatus } from '../../kube/crd/pod-checkpoint.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import { controllerOf } from '../../kube/project/metadata.ts';
import { ticketOf } from '../../kube/project/ticket.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';
import type { FileStamps } from '../state/file-stamps.ts';
import { SavedPodLayout } from '../state/layout.ts';
import { readManifest, verify } from '../state/manifest.ts';
import { fetchState, WrongStateError, type Fetched } from '../transfer/fetch-state.ts';
import type { RestoreRefusal, Staging } from './restore-hands.ts';
import { ticketWord, type TicketWord } from './ticket-word.ts';

/** The other agent may just be restarted, or its node; the wrapper keeps the sandbox from starting meanwhile. */
const FETCH_PATIENCE_MS = 180_000;

export interface StagerOptions {
  readonly nodeName: string;
  readonly stateDir: string;
  readonly api: NodeApi;
  readonly clock: Clock;
  /** Class of this node; null: not known. */
  readonly compatibility: () => string | null;
  readonly stamps: FileStamps;
  /** Null: this agent fetches nothing. */
  readonly peer: PeerConfiguration | null;
}

/**
 * Finds the state that a pod is to continue: ticket, PodCheckpoint, files. What lies on another node is fetched. All files are
 * held to the digests that the API server vouches for; those that were hashed here and that nobody has touched since are not
 * read once more.
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
    const failed = ticket.failedNodes.find(({ pod: uid }) => uid === pod.metadata.uid);
    if (failed !== undefined) return refused('RestoreFailed', `it failed here before: ${failed.reason}`);
    const foreign = foreignness(pod, ticket);
    if (foreign !== null) return refused('OwnerDiffers', `ticket ${ticketName}: ${foreign}`);
    const rawCheckpoint = await api.read(RESOURCES.podCheckpoints, namespace, ticket.checkpoint, stop);
    if (rawCheckpoint === null) return refused('CheckpointMissing', `there is no PodCheckpoint ${ticket.checkpoint}`);
    const checkpoint = checkpointOf(rawCheckpoint);
    const { manifestDigest = '' } = (rawCheckpoint['status'] ?? {}) as PodCheckpointStatus;
    if (!checkpoint.ready || checkpoint.location === null || checkpoint.podUid !== ticket.pod.uid) {
      return refused('CheckpointMissing', `PodCheckpoint ${checkpoint.name} holds no saved state of ${podName}`);
    }
    const ownClass = compatibility();
    if (checkpoint.compatibility !== null && checkpoint.compatibility !== ownClass) {
      const message = `made on class ${checkpoint.compatibility}, this node is ${ownClass ?? 'of none'}`;
      return refused('Incompatible', message);
    }
    const { node: madeOn, reference } = checkpoint.location;
    const isHere = madeOn === nodeName;
    const layout = SavedPodLayout.of(isHere ? this.#options.stateDir : this.#folderFor(pod), reference);
    let fetchedDigests: Fetched['digests'] | null = null;
    if (!isHere) {
      const fetched = await this.#fetch(layout, madeOn, manifestDigest, stop);
      if ('refusal' in fetched) return fetched;
      fetchedDigests = fetched.digests;
    }
    const read = await readManifest(layout.manifest, manifestDigest);
    if ('refusal' in read) return refused('DigestMismatch', read.refusal.message);
    const known = fetchedDigests ?? (await this.#options.stamps.untouched(layout, read.manifest));
    const refusal = await verify(layout.folder, read.manifest, stop, known);
    if (refusal !== null) return refused('DigestMismatch', refusal.message);
    const { manifest } = read;
    return { refusal: null, state: { checkpoint: checkpoint.name, madeOn, layout, manifest } };
  }

  /** What the ticket of a pod says of it now. */
  word(pod: KubeObject, stop: AbortSignal): Promise<TicketWord> {
    return ticketWord(this.#options.api, pod, stop);
  }

  /** Removes what was fetched for a pod. */
  async forget(podUid: string): Promise<void> {
    await rm(join(this.#fetched, podUid), { recursive: true, force: true });
  }

  /** Removes what was fetched for pods that are no longer on this node. */
  async forgetOthers(podUids: ReadonlySet<string>): Promise<void> {
    await mkdir(this.#fetched, { recursive: true, mode: 0o700 });
    for (const podUid of await readdir(this.#fetched)) if (!podUids.has(podUid)) await this.forget(podUid);
  }

  async #fetch(
    layout: SavedPodLayout,
    holder: string,
    manifestDigest: string,
    stop: AbortSignal,
  ): Promise<Fetched | { readonly refusal: RestoreRefusal }> {
    const { api, peer: tls, clock } = this.#options;
    const node = await api.read(RESOURCES.nodes, null, holder, stop);
    const peer = node?.metadata.annotations?.[PEER_ANNOTATION];
    if (node === null) return refused('CheckpointMissing', `node ${holder}, which held it, is gone`);
    if (tls === null || peer === undefined) {
      const whose = tls === null ? 'this node fetches nothing' : `node ${holder} gives nothing to others`;
      return refused('FetchFailed', `${whose}; set agent.peer in the configuration of all agents`);
    }
    try {
      return await fetchState({ peer, tls, layout, manifestDigest, patienceMs: FETCH_PATIENCE_MS, clock, stop });
    } catch (error) {
      stop.throwIfAborted();
      const message = `from node ${holder}: ${messageOf(error)}`;
      return refused(error instanceof WrongStateError ? 'DigestMismatch' : 'FetchFailed', message);
    }
  }

  get #fetched(): string {
    return join(this.#options.stateDir, 'fetched');
  }

  #folderFor({ metadata }: KubeObject): string {
    return join(this.#fetched, metadata.uid as string);
  }
}

/** Why a ticket is not this pod's; null: it is. Anybody may write the annotation that names it. */
function foreignness(pod: KubeObject, ticket: Ticket): string | null {
  if (ticket.claim?.uid !== pod.metadata.uid) return 'it was not claimed by this pod';
  const owner = controllerOf(pod);
  if (ticket.owner?.uid !== owner?.uid) return `the displaced pod belonged to ${nameOf(ticket.owner)}`;
  return null;
}

function nameOf(owner: Ticket['owner']): string {
  return owner === null ? 'nobody' : `${owner.kind} ${owner.name}`;
}

function refused(reason: RestoreRefusal['reason'], message: string): { readonly refusal: RestoreRefusal } {
  return { refusal: { reason, message } };
}
