/** Why a request is undone. */
export type UndoCause =
  /** Its deadline, or `thawAt`, has come. */
  | 'DeadlineExceeded'
  /** `thawAt` has come, and was set by a liveness probe. */
  | 'ProbesEnd'
  /** `release` of its PodCheckpoint is set. */
  | 'Released'
  /** Its PodCheckpoint is being deleted. */
  | 'Deleted'
  /** Its PodCheckpoint is no longer there. */
  | 'Gone';

/** What moves a request from one state to another. */
export type OrderCause =
  | UndoCause
  /** This process begins to save the pod. */
  | 'Taken'
  /** An earlier process of this agent has left the pod frozen for it. */
  | 'FoundHeld'
  /** An earlier process of this agent has reported the outcome. */
  | 'FoundDone'
  /** The pod and the disk are free for it. */
  | 'DiskTurn'
  /** The state is whole, and the pod stays frozen. */
  | 'Saved'
  /** The state is whole, and the pod was thawed. */
  | 'Copied'
  /** The pod was not saved. */
  | 'Failed'
  /** The pod was killed while it was frozen. */
  | 'Killed'
  /** The pod runs again, or still. */
  | 'RunsOn'
  /** The Frozen mark is not on the pod, and not on its way. */
  | 'Unmarked'
  /** Nothing is left to undo on the pod. */
  | 'Undone';

/**
 * Where one PodCheckpoint stands on its node. What its status says is another matter (`order-status.ts`).
 *
 *     Known ──> Waiting ──> Dumping ──> Held ──┐
 *       │          └───────────┴─────────┴────────> Closed
 *       │          │           │         │     │      │
 *       └──────────┴───────────┴─────────┴─────┴──────┴──> Undoing <──> Undone
 *
 * - Known: this process has not touched the pod. An earlier process may have frozen and marked it: that is being found out.
 *   Moves: `Taken` to Waiting, `FoundHeld` to Held, `FoundDone` to Closed, every {@link UndoCause} to Undoing.
 * - Waiting: the pod runs, while the request waits for its turn on the pod and on the disk. The mark was never set.
 *   Moves: `DiskTurn` to Dumping, `Failed` to Closed, every {@link UndoCause} to Undoing.
 * - Dumping: the pod is being frozen, or is frozen and being dumped. The mark was never set.
 *   Moves: `Saved` to Held, `Copied` and `Failed` to Closed, every {@link UndoCause} to Undoing.
 * - Held: the pod is frozen and its state is whole. The mark is set, or is on its way. An eviction may rely on it.
 *   Moves: `Killed` to Closed, `Failed` (the mark could not be set) to Closed, every {@link UndoCause} to Undoing.
 * - Closed: the request neither freezes nor marks the pod, and its outcome is reported. It ignores its deadline.
 *   Moves: `Released`, `Deleted` and `Gone` to Undoing.
 * - Undoing: the dump is cancelled, the pod is thawed, and the mark is removed. `mayBeMarked`: the mark is set, or is on its
 *   way. `ranOn`: the pod was thawed before the agent saw its deletion, so the state is not the last of the pod.
 *   Moves: `Saved` (the dump ended as it was cancelled), `RunsOn` and `Unmarked` change these two fields, `Undone` ends it,
 *   `Released`, `Deleted` and `Gone` replace an earlier cause. It ignores a deadline: it thaws the pod already.
 * - Undone: as far as the pod can be undone. A pod that is being deleted stays frozen, and marked, until it is killed.
 *   Moves: `RunsOn` where such a pod was not killed until `thawAt`, `Released`, `Deleted` and `Gone` to Undoing.
 *
 * What is not named under a state is ignored in it.
 */
export type OrderState =
  | { readonly name: 'Known' | 'Waiting' | 'Dumping' | 'Held' | 'Closed' }
  | {
      readonly name: 'Undoing' | 'Undone';
      readonly cause: UndoCause;
      readonly mayBeMarked: boolean;
      readonly ranOn: boolean;
    };

type Name = OrderState['name'];

const UNDO = {
  DeadlineExceeded: 'Undoing',
  ProbesEnd: 'Undoing',
  Released: 'Undoing',
  Deleted: 'Undoing',
  Gone: 'Undoing',
} as const;

const MOVES: Readonly<Record<Name, Readonly<Partial<Record<OrderCause, Name>>>>> = {
  Known: { Taken: 'Waiting', FoundHeld: 'Held', FoundDone: 'Closed', ...UNDO },
  Waiting: { DiskTurn: 'Dumping', Failed: 'Closed', ...UNDO },
  Dumping: { Saved: 'Held', Copied: 'Closed', Failed: 'Closed', ...UNDO },
  Held: { Killed: 'Closed', Failed: 'Closed', ...UNDO },
  Closed: { Released: 'Undoing', Deleted: 'Undoing', Gone: 'Undoing' },
  Undoing: {
    Saved: 'Undoing',
    RunsOn: 'Undoing',
    Unmarked: 'Undoing',
    Undone: 'Undone',
    Released: 'Undoing',
    Deleted: 'Undoing',
    Gone: 'Undoing',
  },
  Undone: { RunsOn: 'Undone', Released: 'Undoing', Deleted: 'Undoing', Gone: 'Undoing' },
};

/** The state that `cause` leads to; the same object where it is ignored. */
export function stateAfter(state: OrderState, cause: OrderCause): OrderState {
  const name = MOVES[state.name][cause];
  if (name === undefined) return state;
  switch (name) {
    case 'Known':
    case 'Waiting':
    case 'Dumping':
    case 'Held':
    case 'Closed':
      return { name };
    case 'Undoing':
    case 'Undone':
      return undoAfter(state, name, cause);
    default:
      return name satisfies never;
  }
}

function undoAfter(state: OrderState, name: 'Undoing' | 'Undone', cause: OrderCause): OrderState {
  const before = 'cause' in state ? state : null;
  const undoCause = isUndoCause(cause) ? cause : before?.cause;
  // Only an UndoCause leads here from the other states, and each UndoCause begins one undoing.
  if (undoCause === undefined || before?.cause === cause) return state;
  const mayBeMarked = cause === 'Saved' || (cause !== 'Unmarked' && mayBeMarkedIn(state));
  const ranOn = cause === 'RunsOn' || hasRunOn(state);
  const hasMoved = before?.name !== name || before.cause !== undoCause;
  if (!hasMoved && before.mayBeMarked === mayBeMarked && before.ranOn === ranOn) return state;
  return { name, cause: undoCause, mayBeMarked, ranOn };
}

function isUndoCause(cause: OrderCause): cause is UndoCause {
  return cause in UNDO;
}

/** The Frozen mark is on the pod by this request, or may be, or is on its way. */
export function mayBeMarkedIn(state: OrderState): boolean {
  switch (state.name) {
    case 'Known':
    case 'Held':
      return true;
    case 'Waiting':
    case 'Dumping':
    case 'Closed':
      return false;
    case 'Undoing':
    case 'Undone':
      return state.mayBeMarked;
    default:
      return state satisfies never;
  }
}

/** The request was undone and its pod runs on: the state is not the last of the pod. */
export function hasRunOn(state: OrderState): boolean {
  switch (state.name) {
    case 'Known':
    case 'Waiting':
    case 'Dumping':
    case 'Held':
    case 'Closed':
      return false;
    case 'Undoing':
    case 'Undone':
      return state.ranOn;
    default:
      return state satisfies never;
  }
}

/** No other request of the same pod may begin. */
export function occupiesPod(state: OrderState): boolean {
  switch (state.name) {
    case 'Waiting':
    case 'Dumping':
    case 'Held':
      return true;
    case 'Undoing':
      return !state.ranOn;
    case 'Known':
    case 'Closed':
    case 'Undone':
      return false;
    default:
      return state satisfies never;
  }
}
