import { messageOf } from '../../domain/message-of.ts';
import type { ConditionOf, RestoreFailure } from '../../domain/condition-reasons.ts';
import { RESTORED_CONDITION, TICKET_ANNOTATION } from '../../domain/labels.ts';
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

/** A state that was found, fetched and verified for one pod. */
export interface StagedState {
  /** Name of the PodCheckpoint, and the node it was made on: what people are told. */
  readonly checkpoint: string;
  readonly madeOn: string;
  readonly layout: SavedPodLayout;
  readonly manifest: Manifest;
  /** How often this node tries, and whether the pod starts cold after that or waits for somebody to look. */
  readonly attempts: number;
  readonly onFailure: 'ColdStart' | 'Hold';
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
  /** Why one of its containers starts cold; null while all of them may still be restored. */
  failure: RestoreRefusal | null;
  reported: boolean;
}

/**
 * Answers the OCI runtime wrapper for pods that continue a saved one, and says on the pod how that went:
 *
 *     seen ──> staging ──> staged ──> each container: restored | tried again | cold ──> reported
 *                  └──────> refused: every container starts cold ──────────────────────────┘
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
    const restoration = await this.#restorationOf(request.podUid, signal);
    if (restoration === undefined) return { kind: 'pass' };
    const staging = await abortable(restoration.staging, AbortSignal.any([signal, restoration.ended.signal]));
    if (request.kind === 'sandbox') return { kind: 'pass' };
    if (staging.refusal !== null) return { kind: 'pass' };
    const { state } = staging;
    return restoration.turns.take(() => this.#answerContainer(restoration, request, state), signal);
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
    if (staging.refusal !== null) return this.#letGo(podUid);
    const { manifest, checkpoint, madeOn } = staging.state;
    const outcomes = await this.#outcomes(podUid, manifest);
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
    await this.#refuse(restoration, pod, { reason, message: which + message });
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
      reported: false,
    };
    this.#restorations.set(podUid, restoration);
    staging
      .then(async ({ refusal }) => {
        restoration.isStaged = true;
        log.info({ pod: pod.metadata.name, namespace: pod.metadata.namespace, refusal }, 'staged');
        if (refusal !== null) await this.#refuse(restoration, pod, refusal);
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

  async #restorationOf(podUid: string, signal: AbortSignal): Promise<Restoration | undefined> {
    const { clock, pod } = this.#options;
    const untilMs = clock.monotonic() + UNSEEN_MS;
    while (pod(podUid) === undefined && clock.monotonic() < untilMs) await sleep(clock, LOOK_EVERY_MS, signal);
    return this.#restorations.get(podUid);
  }

  async #answerContainer(restoration: Restoration, request: RestoreRequest, state: StagedState): Promise<Answer> {
    const { hands, log, clock } = this.#options;
    const startedMs = clock.monotonic();
    const { attempt } = request;
    const containerName = request.container ?? '';
    // Init containers run anew: Kubernetes demands of them that they can. What they wrote is replaced by what was saved.
    if (!state.manifest.containers.some(({ name }) => name === containerName)) return { kind: 'pass' };
    // What the pod's containers share belongs to the first that runs.
    const outcomes = await this.#outcomes(restoration.podUid, state.manifest);
    const withShared = outcomes.every(({ outcome }) => outcome !== 'restored');
    const cold = async (refusal: RestoreRefusal): Promise<Answer> => {
      restoration.failure ??= refusal;
      log.warn({ container: containerName, podUid: restoration.podUid, ...refusal }, 'not restored');
      if (state.onFailure === 'Hold') return { kind: 'refuse', message: `${refusal.reason}: ${refusal.message}` };
      await hands.clean(request, withShared);
      return { kind: 'pass' };
    };
    if (attempt >= state.attempts) {
      return cold({ reason: 'RestoreFailed', message: await hands.failure(request) });
    }
    try {
      const refusal = await hands.refusal(request, state);
      if (refusal !== null) return await cold(refusal);
      const { imagePath, workPath } = await hands.apply(request, state, withShared);
      const others = runBeside(containerName, this.#options.pod(restoration.podUid));
      const held = outcomes.some(({ name, outcome }) => outcome === null && others.includes(name));
      const ms = clock.monotonic() - startedMs;
      log.info({ container: containerName, podUid: restoration.podUid, attempt, ms }, 'ready to be restored');
      return { kind: 'restore', imagePath, workPath, held };
    } catch (error) {
      return cold({ reason: 'RestoreFailed', message: messageOf(error) });
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
      const onTime = (): void => void this.#letGo(podUid).catch(onError);
      this.#held.set(podUid, clock.setTimer(HELD_MS, onTime));
    }
  }

  #outcomes(
    podUid: string,
    { containers }: Manifest,
  ): Promise<readonly { readonly name: string; readonly outcome: Outcome | null }[]> {
    const { hands } = this.#options;
    return Promise.all(containers.map(async ({ name }) => ({ name, outcome: await hands.outcome(podUid, name) })));
  }

  #refuse(restoration: Restoration, pod: KubeObject, { reason, message }: RestoreRefusal): Promise<void> {
    return this.#report(restoration, pod, { type: RESTORED_CONDITION, status: 'False', reason, message });
  }

  async #report(restoration: Restoration, pod: KubeObject, condition: ConditionOf<'Pod'>): Promise<void> {
    if (restoration.reported) return;
    await this.#options.api.patchPod(pod, { conditions: [condition] }, restoration.ended.signal);
    restoration.reported = true;
    await this.#options.hands.drop(restoration.podUid);
    const { name, namespace } = pod.metadata;
    this.#options.log.info({ pod: name, namespace, ...condition }, 'restore reported');
  }
}

/**
 * The containers that are made after or before a container without waiting for anything it does. Init containers have none:
 * what comes next waits for them, or for the start of a sidecar.
 */
function runBeside(container: string, pod: KubeObject | undefined): readonly string[] {
  const { containers = [] } = (pod?.['spec'] ?? {}) as { readonly containers?: readonly { readonly name: string }[] };
  const names = containers.map(({ name }) => name);
  return names.includes(container) ? names.filter((name) => name !== container) : [];
}

/** It has a ticket, and nobody has said yet how that went. */
function isToBeRestored(pod: KubeObject): boolean {
  const { conditions, phase } = (pod['status'] ?? {}) as {
    readonly conditions?: readonly WireCondition[];
    readonly phase?: string;
  };
  return (
    Boolean(pod.metadata.annotations?.[TICKET_ANNOTATION]) &&
    conditionOf(conditions, RESTORED_CONDITION) === undefined &&
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
