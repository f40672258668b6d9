import { stateReferenceOf, type Checkpoint } from '../../domain/checkpoint.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { NodeApi } from '../node-api.ts';
import {
  hasRunOn,
  mayBeMarkedIn,
  occupiesPod,
  stateAfter,
  type OrderCause,
  type OrderState,
  type UndoCause,
} from './order-state.ts';
import { OrderStatus } from './order-status.ts';

/** One move of one request, for the log. */
export interface OrderMove {
  /** Key of the request. */
  readonly reference: string;
  readonly from: OrderState['name'];
  readonly to: OrderState['name'];
  readonly cause: OrderCause;
}

export interface OrderOptions {
  readonly api: NodeApi;
  /** Ends with the agent process that took the request. */
  readonly life: AbortSignal;
  readonly onMove: (order: Order, move: OrderMove) => void;
}

/**
 * One PodCheckpoint the agent works on: its state on the node ({@link OrderState}) and what its status says.
 *
 * An undo first waits for `saving`: a Frozen mark that is still being written must not reach a pod that runs. At `thawAt` the
 * agent does not wait for the API server: it thaws the pod once `working` has settled, and removes the mark later.
 */
export class Order {
  /** The newest version of its object. */
  checkpoint: KubeObject;
  readonly status: OrderStatus;
  readonly life: AbortSignal;
  /** Settles when nothing on the node works for it any more: no freeze, no dump. Never rejects. */
  working: Promise<unknown> = Promise.resolve();
  /** Settles when the mark is not on its way any more either. Never rejects. */
  saving: Promise<unknown> = Promise.resolve();
  readonly #onMove: OrderOptions['onMove'];
  readonly #cancelled = new AbortController();
  #state: OrderState = { name: 'Known' };

  constructor(checkpoint: KubeObject, { api, life, onMove }: OrderOptions) {
    this.checkpoint = checkpoint;
    this.life = life;
    this.status = new OrderStatus(checkpoint, api, life);
    this.#onMove = onMove;
  }

  get value(): Checkpoint {
    return checkpointOf(this.checkpoint);
  }

  get key(): string {
    return keyOf(this.checkpoint);
  }

  /** Nothing was done for it by this process. */
  get isUntouched(): boolean {
    return this.#state.name === 'Known';
  }

  /** The cause of its undoing; null where it is not being undone. */
  get undoCause(): UndoCause | null {
    return 'cause' in this.#state ? this.#state.cause : null;
  }

  get mayBeMarked(): boolean {
    return mayBeMarkedIn(this.#state);
  }

  get ranOn(): boolean {
    return hasRunOn(this.#state);
  }

  get occupiesPod(): boolean {
    return occupiesPod(this.#state);
  }

  /** Ends the freeze and the dump: the request is being undone, or the agent died. */
  get cancelled(): AbortSignal {
    return this.#cancelled.signal;
  }

  /** False where the state ignores `cause`. */
  move(cause: OrderCause): boolean {
    const next = stateAfter(this.#state, cause);
    if (next === this.#state) return false;
    this.#transition(next, cause);
    return true;
  }

  /** The agent process ends: nothing is undone. */
  abandon(): void {
    this.#cancelled.abort(new Error('the agent died'));
  }

  #transition(to: OrderState, cause: OrderCause): void {
    const from = this.#state.name;
    this.#state = to;
    if (to.name === 'Undoing') this.#cancelled.abort(new Error(`the checkpoint is undone: ${to.cause}`));
    this.#onMove(this, { reference: this.key, from, to: to.name, cause });
  }
}

/**
 * Names a checkpoint on its node, and its state on the disk: a folder. With the UID, for a name may be used again; names of
 * Kubernetes hold no underscore.
 */
export function keyOf({ metadata: { namespace = '', name, uid = '' } }: KubeObject): string {
  return stateReferenceOf({ namespace, name, uid });
}

/** What an earlier process of this agent saved for it stays frozen. */
export function isWanted(checkpoint: KubeObject | undefined): boolean {
  if (checkpoint === undefined) return false;
  const { ready, release, deleting } = checkpointOf(checkpoint);
  return ready && release === null && !deleting;
}

/** Name of the PodCheckpoint of that key. */
export function checkpointNameIn(key: string): string {
  return key.split('_')[1] ?? '';
}
