import type { ConditionOf, ConditionReason } from '../../domain/condition-reasons.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { PodCheckpointStatus } from '../../kube/crd/pod-checkpoint.ts';
import type { NodeApi, StatusPatch } from '../node-api.ts';
import type { SaveFailure } from './savable-pod.ts';
import { Turns } from '../turns.ts';

/** What the status of one PodCheckpoint says. It may lag behind what the agent did on the node, never the other way round. */
export class OrderStatus {
  readonly #checkpoint: KubeObject;
  readonly #api: NodeApi;
  readonly #life: AbortSignal;
  readonly #reports = new Turns();
  #saysFrozen: boolean;
  #saysOutcome: boolean;
  #saysReleased: boolean;
  #saysProgress: boolean;

  /** `life` ends with the agent process. */
  constructor(checkpoint: KubeObject, api: NodeApi, life: AbortSignal) {
    const { frozen, ready, failure, released } = checkpointOf(checkpoint);
    this.#checkpoint = checkpoint;
    this.#api = api;
    this.#life = life;
    this.#saysFrozen = frozen;
    this.#saysOutcome = ready || failure !== null;
    this.#saysReleased = released;
    this.#saysProgress = (checkpoint['status'] as PodCheckpointStatus | undefined)?.progress !== undefined;
  }

  /** It says Frozen=True, or is about to. */
  get saysFrozen(): boolean {
    return this.#saysFrozen;
  }

  /** It says Ready or Failed, or is about to. */
  get saysOutcome(): boolean {
    return this.#saysOutcome;
  }

  /** It says Released, or is about to. */
  get saysReleased(): boolean {
    return this.#saysReleased;
  }

  /** Writes into the status, after everything that was reported before. Rejects with the reason of `until` where that comes first. */
  async report(
    fields: StatusPatch,
    conditions: readonly ConditionOf<'PodCheckpoint'>[],
    until: AbortSignal = this.#life,
  ): Promise<void> {
    const isOver = conditions.some(({ reason }) => reason !== 'Saving');
    const patch = isOver && this.#saysProgress ? { ...fields, progress: null } : fields;
    this.#saysProgress = isOver ? false : this.#saysProgress || fields.progress !== undefined;
    for (const { type, status } of conditions) {
      if (type === 'Frozen') this.#saysFrozen = status === 'True';
      else if (type === 'Released') this.#saysReleased = true;
      else this.#saysOutcome = true;
    }
    await this.#reports.take(() => this.#api.patchCheckpoint(this.#checkpoint, patch, conditions, until), until);
  }

  fail({ reason, message }: SaveFailure): Promise<void> {
    const failed = { type: 'Failed', status: 'True', reason, message } as const;
    const thawed = this.#saysFrozen ? [notHeld('Thawed', 'the pod was thawed: its state was not saved')] : [];
    return this.report({}, [failed, ...thawed]);
  }
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

export type ReleaseOutcome = ConditionReason<'PodCheckpoint', 'Released'>;

const RELEASED: Readonly<Record<ReleaseOutcome, string>> = {
  Thawed: 'the pod was thawed',
  NotFrozen: 'the pod was not frozen by this request',
  PodKilled: 'the pod was being deleted, and was killed frozen',
};

export function released(outcome: ReleaseOutcome): ConditionOf<'PodCheckpoint'> {
  return { type: 'Released', status: 'True', reason: outcome, message: RELEASED[outcome] };
}
