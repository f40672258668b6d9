import { messageOf } from '../../domain/message-of.ts';
import type { ConditionOf, RestoreFailure } from '../../domain/condition-reasons.ts';
import { ON_FAILURE_ANNOTATION, RESTORED_CONDITION, TICKET_ANNOTATION } from '../../domain/labels.ts';
import { conditionOf, type WireCondition } from '../../kube/project/conditions.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Log } from '../../observe/log.ts';
import { sleep, type Clock, type Timer } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';
import type { SavedPodLayout } from '../state/layout.ts';
import type { Manifest } from '../state/manifest.ts';
import { Turns } from '../turns.ts';
import type { Answer, RestoreRequest } from './request.ts';
import type { Outcome } from './results.ts';
import type { TicketWord } from './ticket-word.ts';

/** A state that was found, fetched and verified for one pod. */
export interface StagedState {
  /** Name of the PodCheckpoint, and the node it was made on: what people are told. */
  readonly checkpoint: string;
  readonly madeOn: string;
  readonly layout: SavedPodLayout;
  readonly manifest: Manifest;
}

export interface RestoreRefusal {
  readonly reason: RestoreFailure;
  readonly message: string;
}

export type Staging = { readonly refusal: RestoreRefusal } | { readonly refusal: null; readonly state: StagedState };

/** What the desk has done for it. */
export interface RestoreHands {
  /** Finds the state a pod is to continue; may take minutes. Rejects where it cannot tell: it is called again. */
  stage(pod: KubeObject, stop: AbortSignal): Promise<Staging>;
  /** What the ticket says of the pod now. */
  word(pod: KubeObject, stop: AbortSignal): Promise<TicketWord>;
  /** Whether the container that is being created may have that state; null: it may. */
  refusal(request: RestoreRequest, state: StagedState): Promise<RestoreRefusal | null>;
  /** Puts its files in place; with the first container also what the pod's containers share. Returns where to restore from. */
  apply(
    request: RestoreRequest,
    state: StagedState,
    withShared: boolean,
  ): Promise<{ readonly imagePath: string; readonly workPath: string }>;
  /** Lets all containers of the pod run that were restored and left stopped. */
  letGo(podUid: string): Promise<void>;
  /** Takes that back: the container may start cold. */
  clean(request: RestoreRequest, withShared: boolean): Promise<void>;
  /** Nothing of the pod will be restored any more: removes the state that was brought here for it. */
  drop(podUid: string): Promise<void>;
  /** The pod is gone: removes all that is remembered of it. */
  forget(podUid: string): Promise<void>;
  /** How a container of a pod came up, as the wrapper has written it down; null: it has not yet. */
  outcome(podUid: string, container: string): Promise<Outcome | null>;
  /** What the runtime said when restoring this container failed last. */
  failure(request: RestoreRequest): Promise<string>;
}

export interface RestoreDeskOptions {
  readonly hands: RestoreHands;
  readonly pod: (uid: string) => KubeObject | undefined;
  readonly api: NodeApi;
  readonly clock: Clock;
  readonly log: Log;
  readonly onError: (error: unknown) => void;
}

/** kubelet can hear of a pod before us: for so long a request waits for the pod to be seen here. */
const UNSEEN_MS = 10_000;
const LOOK_EVERY_MS = 200;

/** A staging that fails without a verdict (a disk or API error) is tried so often, over some two minutes, before the node gives up. */
const STAGING_TRIES = 6;
const STAGING_PAUSE_MS = 2_000; // twice as long each time

/**
 * How long a request waits for what Reprieve decides after a failure. A container's must end before the kubelet gives up on it
 * (`answer_within` of the wrapper). A sandbox is asked for again; a pod that may start cold does so after the second bound.
 */
const DECIDED_WITHIN_MS = 60_000;
const SANDBOX_DECIDED_WITHIN_MS = 600_000;
const ASK_TICKET_EVERY_MS = 500;

/** So long a restored container waits for the others of its pod: one whose image cannot be pulled must not stop the rest for ever. */
const HELD_MS = 30_000;

/** One pod that is to continue a saved one. */
interface Restoration {
  readonly podUid: string;
  readonly ended: AbortController;
  readonly staging: Promise<Staging>;
  isStaged: boolean;
  /** Requests of one pod are answered one after the other: what its containers share is put in place once. */
  readonly turns: Turns;
  /** Why the pod cannot be restored here; null while it may be. */
  failure: (RestoreRefusal & { readonly sinceMs: number }) | null;
  /** What was said of it on the pod last. */
  said: 'nothing' | 'failed' | 'outcome';
  /** The ticket gave the pod up: it is about to be deleted. */
  isLeaving: boolean;
  /** Requests that wait for what follows a failure. */
  waiting: number;
}

const LEAVING: Answer = { kind: 'refuse', message: 'the pod is being deleted' };

/**
 * Answers the OCI runtime wrapper for pods that continue a saved one, and says on the pod how that went:
 *
 *     seen ──> staging ──> staged ──> each container restored ──────────────────────> Restored=True
 *                  │                      │
 *                  └───────> failed <─────┘   Restored=Unknown; the sandbox or container waits
 *                               ├── ticket ended ──> containers start cold ──────────> Restored=False
 *                               └── pod deleted: another node tries, or its replacement is held
 *
 * A failure here decides nothing: the pod says it, Reprieve reads it and writes into the ticket what follows, and the agent reads
 * that. A pod with `reprieve.dev/on-failure: Hold` starts cold only when the ticket has ended. Another one also does where
 * Reprieve has not decided within a bound.
 *
 * The kubelet makes containers one after the other. Processes that ran side by side when they were saved, and would miss each
 * other, are restored stopped, and go on when the last of them is there.
 *
 * All of it can begin anew at any time: after the death of this process the wrapper asks again, or has written its result.
 */
export class RestoreDesk {
  readonly #options: RestoreDeskOptions;
  readonly #restorations = new Map<string, Restoration>(); // pod uid ->
  readonly #held = new Map<string, Timer>(); // pod uid -> when its containers wait for no other any more
  #isStarted = false;

  constructor(options: RestoreDeskOptions) {
    this.#options = options;
  }

  /** Begins, with the pods that are on the node now. Nothing is staged before: the node must know what it can do. */
  start(pods: readonly KubeObject[]): void {
    this.#isStarted = true;
    for (const pod of pods) this.podChanged(null, pod);
  }

  /** A pod of this node was added, changed or removed. */
  podChanged(before: KubeObject | null, after: KubeObject | null): void {
    if (!this.#isStarted) return;
    const uid = (after ?? before)?.metadata.uid ?? '';
    const known = this.#restorations.get(uid);
    if (after === null || after.metadata.deletionTimestamp !== undefined) {
      this.#wait(uid, false);
      if (known === undefined) return;
      known.ended.abort(new Error('the pod is gone'));
      this.#restorations.delete(uid);
      this.#options.hands.forget(uid).catch(this.#options.onError);
    } else if (known === undefined && isToBeRestored(after)) {
      this.#begin(after);
    }
  }

  /** What the wrapper shall do. Rejects with the reason of `signal` when nobody waits for the answer any more. */
  async answer(request: RestoreRequest, signal: AbortSignal): Promise<Answer> {
    const pod = await this.#seen(request.podUid, signal);
    if (pod.metadata.deletionTimestamp !== undefined) return LEAVING;
    const restoration = this.#restorations.get(request.podUid);
    if (restoration === undefined) return { kind: 'pass' };
    const { ended } = restoration;
    const either = AbortSignal.any([signal, ended.signal]);
    try {
      const staging = await abortable(restoration.staging, either);
      if (staging.refusal !== null) {
        this.#fail(restoration, staging.refusal);
        return await this.#afterFailure(restoration, request, either);
      }
      if (request.kind === 'sandbox') return { kind: 'pass' };
      const { state } = staging;
      return await restoration.turns.take(() => this.#answerContainer(restoration, request, state, either), signal);
    } catch (error) {
      if (ended.signal.aborted && !signal.aborted) return LEAVING;
      throw error;
    }
  }

  /** A container of a pod has come up, one way or another. */
  async resultSeen(podUid: string): Promise<void> {
    const restoration = this.#restorations.get(podUid);
    const pod = this.#options.pod(podUid);
    // Held by an earlier process of ours, which has said the rest.
    if (restoration === undefined || pod === undefined) return this.#letGo(podUid);
    this.#wait(podUid, true);
    if (!restoration.isStaged) return; // looked at again once it is
    const staging = await restoration.staging;
    if (staging.refusal !== null) {
      await this.#letGo(podUid);
      const began = await this.#outcomes(podUid, containersOf(pod));
      if (began.some(({ outcome }) => outcome !== null)) await this.#startedCold(restoration, pod, staging.refusal);
      return;
    }
    const { manifest, checkpoint, madeOn } = staging.state;
    const outcomes = await this.#outcomes(podUid, namesIn(manifest));
    if (outcomes.some(({ outcome }) => outcome === null)) return;
    // One that is alone was told to wait for no other.
    if (outcomes.length > 1) await this.#letGo(podUid);
    else this.#wait(podUid, false);
    const cold = outcomes.filter(({ outcome }) => outcome !== 'restored').map(({ name }) => name);
    if (cold.length === 0) {
      const message = `continues checkpoint ${checkpoint} from ${madeOn}`;
      return this.#report(restoration, pod, { type: RESTORED_CONDITION, status: 'True', reason: 'Restored', message });
    }
    const { reason, message } = restoration.failure ?? {
      reason: 'RestoreFailed',
      message: 'the agent did not answer in time',
    };
    const which = cold.length < outcomes.length ? `${cold.join(', ')} started cold: ` : '';
    await this.#startedCold(restoration, pod, { reason, message: which + message });
  }

  /** Nothing is staged or answered any more. */
  stop(): void {
    for (const { ended } of this.#restorations.values()) ended.abort(new Error('the agent stops'));
    this.#restorations.clear();
    for (const timer of this.#held.values()) timer.cancel();
    this.#held.clear();
  }

  #begin(pod: KubeObject): void {
    const { log, onError } = this.#options;
    const podUid = pod.metadata.uid as string;
    const ended = new AbortController();
    const staging = this.#stage(pod, ended.signal);
    const restoration: Restoration = {
      podUid,
      ended,
      staging,
      isStaged: false,
      turns: new Turns(),
      failure: null,
      said: 'nothing',
      isLeaving: false,
      waiting: 0,
    };
    this.#restorations.set(podUid, restoration);
    staging
      .then(async ({ refusal }) => {
        restoration.isStaged = true;
        log.info({ pod: pod.metadata.name, namespace: pod.metadata.namespace, refusal }, 'staged');
        if (refusal !== null) {
          this.#fail(restoration, refusal);
          await this.#sayFailed(restoration, pod, ended.signal);
        }
        await this.resultSeen(podUid); // what came up meanwhile, or before an earlier process of ours died
      })
      .catch((error: unknown) => {
        if (!ended.signal.aborted) onError(error);
      });
  }

  /** Rejects with the reason of `stop` only. */
  async #stage(pod: KubeObject, stop: AbortSignal): Promise<Staging> {
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

  /** Rejects where the pod is not seen here: the request is handled again for as long as the wrapper waits. */
  async #seen(podUid: string, signal: AbortSignal): Promise<KubeObject> {
    const { clock, pod } = this.#options;
    const untilMs = clock.monotonic() + UNSEEN_MS;
    for (;;) {
      const found = pod(podUid);
      if (found !== undefined) return found;
      if (clock.monotonic() >= untilMs) throw new Error(`pod ${podUid} is not among the pods of this node`);
      await sleep(clock, LOOK_EVERY_MS, signal);
    }
  }

  async #answerContainer(
    restoration: Restoration,
    request: RestoreRequest,
    state: StagedState,
    stop: AbortSignal,
  ): Promise<Answer> {
    const { hands, log, clock } = this.#options;
    const startedMs = clock.monotonic();
    const { podUid } = restoration;
    const containerName = request.container ?? '';
    // Init containers run anew: Kubernetes demands of them that they can. What they wrote is replaced by what was saved.
    if (!state.manifest.containers.some(({ name }) => name === containerName)) return { kind: 'pass' };
    // What the pod's containers share belongs to the first that runs.
    const outcomes = await this.#outcomes(podUid, namesIn(state.manifest));
    const withShared = outcomes.every(({ outcome }) => outcome !== 'restored');
    const failed = async (refusal: RestoreRefusal): Promise<Answer> => {
      this.#fail(restoration, refusal);
      const answer = await this.#afterFailure(restoration, request, stop);
      if (answer.kind === 'pass') await hands.clean(request, withShared);
      return answer;
    };
    if (restoration.failure !== null) return failed(restoration.failure);
    if (request.attempt > 0) return failed({ reason: 'RestoreFailed', message: await hands.failure(request) });
    const pod = this.#options.pod(podUid);
    if (pod === undefined) return LEAVING;
    // The state was staged a while ago. Nothing is restored that another pod may continue by now.
    if ((await hands.word(pod, stop)) !== 'ours') {
      return failed({ reason: 'TicketEnded', message: 'the ticket no longer claims the pod' });
    }
    let refusal: RestoreRefusal | null;
    try {
      refusal = await hands.refusal(request, state);
      if (refusal === null) {
        const { imagePath, workPath } = await hands.apply(request, state, withShared);
        const others = runBeside(containerName, pod);
        const held = outcomes.some(({ name, outcome }) => outcome === null && others.includes(name));
        const ms = clock.monotonic() - startedMs;
        log.info({ container: containerName, podUid, ms }, 'ready to be restored');
        return { kind: 'restore', imagePath, workPath, held };
      }
    } catch (error) {
      stop.throwIfAborted();
      refusal = { reason: 'RestoreFailed', message: messageOf(error) };
    }
    return failed(refusal);
  }

  #fail(restoration: Restoration, { reason, message }: RestoreRefusal): void {
    if (restoration.failure !== null) return;
    restoration.failure = { reason, message, sinceMs: this.#options.clock.monotonic() };
    this.#options.log.warn({ podUid: restoration.podUid, reason, message }, 'not restored on this node');
  }

  /** Says the failure on the pod, and waits until the ticket says that the pod starts cold, or the pod is deleted. */
  async #afterFailure(restoration: Restoration, request: RestoreRequest, stop: AbortSignal): Promise<Answer> {
    const { clock, pod: podOf } = this.#options;
    const pod = podOf(restoration.podUid);
    if (pod === undefined) return LEAVING;
    const { reason, message, sinceMs } = restoration.failure as NonNullable<Restoration['failure']>;
    const bound = new AbortController();
    const timer = clock.setTimer(DECIDED_WITHIN_MS, () => bound.abort(new Error('not decided in time')));
    restoration.waiting++;
    try {
      await this.#untilCold(restoration, pod, AbortSignal.any([stop, bound.signal]));
    } catch (error) {
      stop.throwIfAborted();
      if (!bound.signal.aborted) throw error;
      const isTooSoon = request.kind === 'sandbox' && clock.monotonic() < sinceMs + SANDBOX_DECIDED_WITHIN_MS;
      if (mustBeHeld(pod) || restoration.isLeaving || isTooSoon) {
        return { kind: 'refuse', message: `${reason}: ${message}` };
      }
    } finally {
      timer.cancel();
      restoration.waiting--;
    }
    // A container says it by its result.
    if ((await restoration.staging).refusal !== null) await this.#startedCold(restoration, pod, { reason, message });
    return { kind: 'pass' };
  }

  async #untilCold(restoration: Restoration, pod: KubeObject, stop: AbortSignal): Promise<void> {
    const { clock, hands } = this.#options;
    await this.#sayFailed(restoration, pod, stop);
    for (;;) {
      const word = await hands.word(pod, stop);
      if (word === 'cold') return;
      restoration.isLeaving = word === 'leaves';
      await sleep(clock, ASK_TICKET_EVERY_MS, stop);
    }
  }

  async #letGo(podUid: string): Promise<void> {
    this.#wait(podUid, false);
    await this.#options.hands.letGo(podUid);
  }

  #wait(podUid: string, isHeld: boolean): void {
    const { clock, onError } = this.#options;
    const timer = this.#held.get(podUid);
    if (!isHeld) {
      timer?.cancel();
      this.#held.delete(podUid);
    } else if (timer === undefined) {
      const onTime = (): void => {
        this.#held.delete(podUid);
        // It may be that the pod is about to leave: what runs until then would be lost.
        if ((this.#restorations.get(podUid)?.waiting ?? 0) > 0) this.#wait(podUid, true);
        else this.#letGo(podUid).catch(onError);
      };
      this.#held.set(podUid, clock.setTimer(HELD_MS, onTime));
    }
  }

  #outcomes(
    podUid: string,
    containers: readonly string[],
  ): Promise<readonly { readonly name: string; readonly outcome: Outcome | null }[]> {
    const { hands } = this.#options;
    return Promise.all(containers.map(async (name) => ({ name, outcome: await hands.outcome(podUid, name) })));
  }

  /** A pod that must not start cold is marked as disrupted, too: if it fails before it is deleted, its Job need not count it. */
  async #sayFailed(restoration: Restoration, pod: KubeObject, stop: AbortSignal): Promise<void> {
    const { failure, said } = restoration;
    if (failure === null || said !== 'nothing') return;
    const message = `${failure.reason}: ${failure.message}`;
    const failed = { type: RESTORED_CONDITION, status: 'Unknown', reason: 'NotRestoredHere', message } as const;
    const disrupted = { type: 'DisruptionTarget', status: 'True', reason: 'RestoreFailed', message } as const;
    const conditions = mustBeHeld(pod) ? [failed, disrupted] : [failed];
    await this.#options.api.patchPod(pod, { conditions }, stop);
    restoration.said = 'failed';
  }

  #startedCold(restoration: Restoration, pod: KubeObject, { reason, message }: RestoreRefusal): Promise<void> {
    return this.#report(restoration, pod, { type: RESTORED_CONDITION, status: 'False', reason, message });
  }

  async #report(restoration: Restoration, pod: KubeObject, condition: ConditionOf<'Pod'>): Promise<void> {
    if (restoration.said === 'outcome') return;
    await this.#options.api.patchPod(pod, { conditions: [condition] }, restoration.ended.signal);
    restoration.said = 'outcome';
    await this.#options.hands.drop(restoration.podUid);
    const { name, namespace } = pod.metadata;
    this.#options.log.info({ pod: name, namespace, ...condition }, 'restore reported');
  }
}

function mustBeHeld({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[ON_FAILURE_ANNOTATION] === 'Hold';
}

function namesIn({ containers }: Manifest): readonly string[] {
  return containers.map(({ name }) => name);
}

function containersOf(pod: KubeObject | undefined): readonly string[] {
  const { containers = [] } = (pod?.['spec'] ?? {}) as { readonly containers?: readonly { readonly name: string }[] };
  return containers.map(({ name }) => name);
}

/**
 * The containers that are made after or before a container without waiting for anything it does. Init containers have none:
 * what comes next waits for them, or for the start of a sidecar.
 */
function runBeside(container: string, pod: KubeObject | undefined): readonly string[] {
  const names = containersOf(pod);
  return names.includes(container) ? names.filter((name) => name !== container) : [];
}

/** It has a ticket, and nobody has said yet how that ended. */
function isToBeRestored(pod: KubeObject): boolean {
  const { conditions, phase } = (pod['status'] ?? {}) as {
    readonly conditions?: readonly WireCondition[];
    readonly phase?: string;
  };
  return (
    Boolean(pod.metadata.annotations?.[TICKET_ANNOTATION]) &&
    (conditionOf(conditions, RESTORED_CONDITION)?.status ?? 'Unknown') === 'Unknown' &&
    phase !== 'Succeeded' &&
    phase !== 'Failed'
  );
}

/** The result of `work`, or the reason of `signal` where that comes first. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
