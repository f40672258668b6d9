import type { ConditionOf, ConditionReason } from '../../domain/condition-reasons.ts';
import type { Checkpoint } from '../../domain/checkpoint.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { PodCheckpointStatus } from '../../kube/crd/pod-checkpoint.ts';
import type { NodeApi, StatusPatch } from '../node-api.ts';
import type { SaveFailure } from './savable-pod.ts';
import { Turns } from '../turns.ts';

/**
 * One PodCheckpoint the agent works on.
 *
 *     saving ──> saved ──┐
 *        └───────────────┴──> undone     (deleted, or `thawAt` came)
 *
 * Whoever undoes it first waits for `saving`: a mark that is still on its way must not land on a pod that goes on. Only at
 * `thawAt` nobody waits for the API server: the pod is thawed once `working` has settled, and its mark is removed later.
 */
export class Order {
  /** The newest version of its object. */
  checkpoint: KubeObject;
  /** Ends the dump: the order was undone, or the agent died. */
  readonly cancelled = new AbortController();
  /** Settles when nothing on the node works for it any more: no freeze, no dump. Never rejects. */
  working: Promise<unknown> = Promise.resolve();
  /** Settles when the mark is not on its way any more either. Never rejects. */
  saving: Promise<unknown> = Promise.resolve();
  /** The Frozen mark was set, or may have been. */
  mayBeMarked: boolean;
  /** It froze the pod, which was thawed before it was seen that it is being deleted: the state is no longer its last. */
  wentOn = false;
  /** `thawAt`, or its deadline, has come. */
  isExpiring = false;
  /** Its object is being deleted, and this agent has seen that. */
  removing = false;
  /** Its status says Frozen=True, or is about to. */
  heldInStatus: boolean;
  /** Its status says Ready or Failed, or is about to: nothing is left to save. */
  isDone: boolean;
  /** Ends with the agent process that took the order. */
  readonly life: AbortSignal;
  readonly #api: NodeApi;
  readonly #reports = new Turns();
  #hasProgress: boolean; // its status says how far the dump is

  constructor(checkpoint: KubeObject, api: NodeApi, life: AbortSignal) {
    this.checkpoint = checkpoint;
    this.#api = api;
    this.life = life;
    this.heldInStatus = this.value.frozen;
    this.mayBeMarked = this.value.ready && this.value.frozen;
    this.#hasProgress = (checkpoint['status'] as PodCheckpointStatus | undefined)?.progress !== undefined;
    this.isDone = this.value.ready || this.value.failure !== null;
  }

  get value(): Checkpoint {
    return checkpointOf(this.checkpoint);
  }

  get key(): string {
    return keyOf(this.checkpoint);
  }

  /** Writes into its status, after everything that was reported before. Rejects with the reason of `until` where that comes first. */
  async report(
    fields: StatusPatch,
    conditions: readonly ConditionOf<'PodCheckpoint'>[],
    until: AbortSignal = this.life,
  ): Promise<void> {
    const isOver = conditions.some(({ reason }) => reason !== 'Saving');
    const patch = isOver && this.#hasProgress ? { ...fields, progress: null } : fields;
    this.#hasProgress = isOver ? false : this.#hasProgress || fields.progress !== undefined;
    for (const { type, status } of conditions) {
      if (type === 'Frozen') this.heldInStatus = status === 'True';
      else this.isDone = true;
    }
    await this.#reports.take(() => this.#api.patchCheckpoint(this.checkpoint, patch, conditions, until), until);
  }

  fail({ reason, message }: SaveFailure): Promise<void> {
    const failed = { type: 'Failed', status: 'True', reason, message } as const;
    const thawed = this.heldInStatus ? [notHeld('Thawed', 'the pod was thawed: its state was not saved')] : [];
    return this.report({}, [failed, ...thawed]);
  }
}

/**
 * Names a checkpoint on its node, and its state on the disk: a folder. With the UID, for a name may be used again; names of
 * Kubernetes hold no underscore.
 */
function keyOf({ metadata: { namespace = '', name, uid = '' } }: KubeObject): string {
  return `${namespace}_${name}_${uid}`;
}

/** Name of the PodCheckpoint of that key. */
export function checkpointNameIn(key: string): string {
  return key.split('_')[1] ?? '';
}

export function held(message: string): ConditionOf<'PodCheckpoint'> {
  return { type: 'Frozen', status: 'True', reason: 'Held', message };
}

export function notHeld(
  reason: ConditionReason<'PodCheckpoint', 'Frozen', 'False'>,
  message: string,
): ConditionOf<'PodCheckpoint'> {
  return { type: 'Frozen', status: 'False', reason, message };
}

export const POD_KILLED = notHeld('PodKilled', 'the pod was deleted while it was frozen');
export const POD_THAWED = notHeld('Thawed', 'the pod was thawed after it was saved');
