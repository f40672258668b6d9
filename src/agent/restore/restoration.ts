import type { ConditionOf } from '../../domain/condition-reasons.ts';
import { ON_FAILURE_ANNOTATION, RESTORED_CONDITION } from '../../domain/labels.ts';
import { messageOf } from '../../domain/message-of.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Log } from '../../observe/log.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';
import { Turns } from '../turns.ts';
import type { Answer, RestoreRequest } from './request.ts';
import type { RestoreHands, RestoreRefusal, Staging } from './restore-hands.ts';

/** How often a staging that fails without a verdict (a disk or API error) is tried, over about two minutes, before the node gives up. */
const STAGING_TRIES = 6;
const STAGING_PAUSE_MS = 2_000; // twice as long each time

/**
 * How long a request waits for what Reprieve decides after a failure. A container's must end before the kubelet gives up on it
 * (`answer_within` of the wrapper). A sandbox is asked for again; a pod that may start cold does so after the second bound.
 */
const DECIDED_WITHIN_MS = 60_000;
const SANDBOX_DECIDED_WITHIN_MS = 600_000;
const ASK_TICKET_EVERY_MS = 500;

export interface RestorationOptions {
  readonly hands: RestoreHands;
  readonly pod: (uid: string) => KubeObject | undefined;
  readonly api: NodeApi;
  readonly clock: Clock;
  readonly log: Log;
  readonly onError: (error: unknown) => void;
}

/** Why a pod cannot be restored on this node, and since when. */
type NodeFailure = RestoreRefusal & { readonly sinceMs: number };

export const LEAVING: Answer = { kind: 'refuse', message: 'the pod is being deleted' };

/**
 * One pod on this node that is to continue a saved one:
 *
 *     staging ──> staged ──> each container restored ──────────────────────> Restored=True
 *         │                      │
 *         └───────> failed <─────┘   Restored=Unknown; the sandbox or container waits
 *                      ├── ticket ended ──> containers start cold ──────────> Restored=False
 *                      └── pod deleted: another node tries, or its replacement is held
 *
 * A failure on this node decides nothing. The agent writes it to the pod, the controller reads it and writes the decision into the
 * ticket, and the agent reads the ticket. A pod with `reprieve.dev/on-failure: Hold` starts cold only after its ticket ended. Any
 * other pod also starts cold if the controller has not decided within a bound.
 */
export class Restoration {
  readonly #options: RestorationOptions;
  readonly podUid: string;
  /** Aborted when the pod is deleted or the agent stops. */
  readonly ended = new AbortController();
  /** Rejects with the reason of `ended` only. */
  readonly staging: Promise<Staging>;
  isStaged = false;
  /** Answers the requests of the pod one after the other: the files that its containers share are put in place once. */
  readonly turns = new Turns();
  #failure: NodeFailure | null = null;
  /** What this process has written to the pod about the restore. */
  #said: 'nothing' | 'failed' | 'outcome' = 'nothing';
  /** The ticket gave the pod up: Reprieve is about to delete it. */
  #isLeaving = false;
  /** How many requests wait for what follows a failure. */
  #waiting = 0;

  /** Begins to stage the state. */
  constructor(pod: KubeObject, options: RestorationOptions) {
    this.#options = options;
    this.podUid = pod.metadata.uid as string;
    this.staging = this.#stage(pod);
  }

  /** Why the pod cannot be restored here; null while it may be. */
  get failure(): RestoreRefusal | null {
    return this.#failure;
  }

  /** True while a request waits for what follows a failure. */
  get isUndecided(): boolean {
    return this.#waiting > 0;
  }

  /** Records that the pod cannot be restored here. The first reason stays. */
  fail({ reason, message }: RestoreRefusal): void {
    if (this.#failure !== null) return;
    this.#failure = { reason, message, sinceMs: this.#options.clock.monotonic() };
    this.#options.log.warn({ podUid: this.podUid, reason, message }, 'not restored on this node');
  }

  /** Writes the failure to the pod, then waits until the ticket says that the pod starts cold, or until the pod is deleted. */
  async afterFailure(request: RestoreRequest, stop: AbortSignal): Promise<Answer> {
    const { clock, pod: podOf } = this.#options;
    const pod = podOf(this.podUid);
    if (pod === undefined) return LEAVING;
    const { reason, message, sinceMs } = this.#failure as NodeFailure;
    const bound = new AbortController();
    const timer = clock.setTimer(DECIDED_WITHIN_MS, () => bound.abort(new Error('not decided in time')));
    this.#waiting++;
    try {
      await this.#untilCold(pod, AbortSignal.any([stop, bound.signal]));
    } catch (error) {
      stop.throwIfAborted();
      if (!bound.signal.aborted) throw error;
      const isTooSoon = request.kind === 'sandbox' && clock.monotonic() < sinceMs + SANDBOX_DECIDED_WITHIN_MS;
      if (mustBeHeld(pod) || this.#isLeaving || isTooSoon) {
        return { kind: 'refuse', message: `${reason}: ${message}` };
      }
    } finally {
      timer.cancel();
      this.#waiting--;
    }
    // A container that starts cold is reported through its result. Without a staged state there is no such report.
    if ((await this.staging).refusal !== null) await this.startedCold(pod, { reason, message });
    return { kind: 'pass' };
  }

  async #untilCold(pod: KubeObject, stop: AbortSignal): Promise<void> {
    const { clock, hands } = this.#options;
    await this.sayFailed(pod, stop);
    for (;;) {
      const word = await hands.word(pod, stop);
      if (word === 'cold') return;
      this.#isLeaving = word === 'leaves';
      await sleep(clock, ASK_TICKET_EVERY_MS, stop);
    }
  }

  /**
   * Writes the failure to the pod, once. A pod that must not start cold is marked as disrupted, too: if the pod fails before it is
   * deleted, its Job need not count that.
   */
  async sayFailed(pod: KubeObject, stop: AbortSignal): Promise<void> {
    const failure = this.#failure;
    if (failure === null || this.#said !== 'nothing') return;
    const message = `${failure.reason}: ${failure.message}`;
    const failed = { type: RESTORED_CONDITION, status: 'Unknown', reason: 'NotRestoredHere', message } as const;
    const disrupted = { type: 'DisruptionTarget', status: 'True', reason: 'RestoreFailed', message } as const;
    const conditions = mustBeHeld(pod) ? [failed, disrupted] : [failed];
    await this.#options.api.patchPod(pod, { conditions }, stop);
    this.#said = 'failed';
  }

  /** Writes to the pod that it started without its saved state. */
  startedCold(pod: KubeObject, { reason, message }: RestoreRefusal): Promise<void> {
    return this.report(pod, { type: RESTORED_CONDITION, status: 'False', reason, message });
  }

  /** Writes the outcome to the pod, once, and drops what was staged: nothing of the pod will be restored any more. */
  async report(pod: KubeObject, condition: ConditionOf<'Pod'>): Promise<void> {
    if (this.#said === 'outcome') return;
    await this.#options.api.patchPod(pod, { conditions: [condition] }, this.ended.signal);
    this.#said = 'outcome';
    await this.#options.hands.drop(this.podUid);
    const { name, namespace } = pod.metadata;
    this.#options.log.info({ pod: name, namespace, ...condition }, 'restore reported');
  }

  /** Rejects with the reason of `ended` only. A failure without a verdict is tried again. */
  async #stage(pod: KubeObject): Promise<Staging> {
    const stop = this.ended.signal;
    const { hands, clock, onError } = this.#options;
    for (let tried = 1; ; tried++) {
      try {
        return await hands.stage(pod, stop);
      } catch (error) {
        stop.throwIfAborted();
        onError(error);
        if (tried === STAGING_TRIES) return { refusal: { reason: 'StagingFailed', message: messageOf(error) } };
        await sleep(clock, STAGING_PAUSE_MS * 2 ** (tried - 1), stop);
      }
    }
  }
}

function mustBeHeld({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[ON_FAILURE_ANNOTATION] === 'Hold';
}
