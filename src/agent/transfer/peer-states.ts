import type { PeerConfiguration } from '../../config/configuration.ts';
import { PEER_ANNOTATION } from '../../domain/labels.ts';
import { messageOf } from '../../domain/message-of.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { Clock } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';
import type { SavedPodLayout } from '../state/layout.ts';
import type { OpenRefusal } from '../state/state-store.ts';
import { fetchState, WrongStateError, type Fetched } from './fetch-state.ts';

/** The other agent may just be restarted, or its node; the wrapper keeps the sandbox from starting meanwhile. */
const FETCH_PATIENCE_MS = 180_000;

export interface PeerStatesOptions {
  readonly api: Pick<NodeApi, 'read'>;
  readonly clock: Clock;
  /** Null: this agent fetches nothing. */
  readonly peer: PeerConfiguration | null;
}

/** The states on the disks of other nodes, whose agents give them away (`peer-server.ts`). */
export class PeerStates {
  readonly #options: PeerStatesOptions;

  constructor(options: PeerStatesOptions) {
    this.#options = options;
  }

  /** Brings a state from the node that holds it into `layout`. Its files are yet to be verified. */
  async fetch(
    holder: string,
    layout: SavedPodLayout,
    manifestDigest: string,
    stop: AbortSignal,
  ): Promise<Fetched | { readonly refusal: OpenRefusal }> {
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
}

function refused(reason: OpenRefusal['reason'], message: string): { readonly refusal: OpenRefusal } {
  return { refusal: { reason, message } };
}
