import { PEER_ANNOTATION } from '../../domain/labels.ts';
import { messageOf } from '../../domain/message-of.ts';
import { fetchedWithinMs } from '../../domain/restore-time.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { Clock } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';
import type { SavedPodLayout } from '../state/layout.ts';
import type { OpenRefusal, WantedState } from '../state/state-store.ts';
import { FetchRoom } from './fetch-room.ts';
import { FetchTurns } from './fetch-turns.ts';
import type { PeerIdentity } from './peer-identity.ts';
import { fetchState, WrongStateError, type Fetched } from './fetch-state.ts';

/** The other agent may just be restarted, or its node; the wrapper keeps the sandbox from starting meanwhile. */
const FETCH_PATIENCE_MS = 180_000;

export interface PeerStatesOptions {
  readonly api: Pick<NodeApi, 'read'>;
  readonly clock: Clock;
  /** Null: this agent fetches nothing. */
  readonly identity: Pick<PeerIdentity, 'current'> | null;
  /** What may be written on the disk of the states now. */
  readonly roomBytes: () => Promise<number>;
}

/** The states on the disks of other nodes, whose agents give them away (`peer-server.ts`). */
export class PeerStates {
  readonly #options: PeerStatesOptions;
  readonly #turns = new FetchTurns();
  readonly #room: FetchRoom;

  constructor(options: PeerStatesOptions) {
    this.#options = options;
    this.#room = new FetchRoom(options.roomBytes);
  }

  /** Brings a state from the node that holds it into `layout`. Its files are yet to be verified. */
  async fetch(
    { location, manifestDigest, bytes, ticket }: WantedState,
    layout: SavedPodLayout,
    stop: AbortSignal,
  ): Promise<Fetched | { readonly refusal: OpenRefusal }> {
    const { api, identity, clock } = this.#options;
    const holder = location.node;
    const node = await api.read(RESOURCES.nodes, null, holder, stop);
    const peer = node?.metadata.annotations?.[PEER_ANNOTATION];
    if (node === null) return refused('CheckpointMissing', `node ${holder}, which held it, is gone`);
    if (identity === null || peer === undefined) {
      const whose = identity === null ? 'this node fetches nothing' : `node ${holder} gives nothing to others`;
      return refused('FetchFailed', `${whose}; set agent.peer in the configuration of all agents`);
    }
    const limitMs = fetchedWithinMs(bytes);
    const late = new AbortController();
    const timer = clock.setTimer(limitMs, () => late.abort(new Error(`it was not here within ${limitMs / 1000} s`)));
    const either = AbortSignal.any([stop, late.signal]);
    const from = { peer, holder, credentials: () => identity.current, ticket };
    const what = { layout, manifestDigest, bytes, room: this.#room, patienceMs: FETCH_PATIENCE_MS };
    try {
      return await this.#turns.take(holder, () => fetchState({ ...from, ...what, clock, stop: either }), either);
    } catch (error) {
      stop.throwIfAborted();
      const message = `from node ${holder}: ${messageOf(error)}`;
      return refused(error instanceof WrongStateError ? 'DigestMismatch' : 'FetchFailed', message);
    } finally {
      timer.cancel();
    }
  }
}

function refused(reason: OpenRefusal['reason'], message: string): { readonly refusal: OpenRefusal } {
  return { refusal: { reason, message } };
}
