import { messageOf } from '../../domain/message-of.ts';
import { RESTORED_CONDITION, TICKET_ANNOTATION } from '../../domain/labels.ts';
import { conditionOf, type WireCondition } from '../../kube/project/conditions.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { sleep } from '../../ports/clock.ts';
import type { Manifest } from '../state/manifest.ts';
import { HeldContainers } from './held-containers.ts';
import type { Answer, RestoreRequest } from './request.ts';
import { LEAVING, Restoration, type RestorationOptions } from './restoration.ts';
import type { RestoreRefusal, StagedState } from './restore-hands.ts';
import type { Outcome } from './results.ts';

/** kubelet can hear of a pod before us: for so long a request waits for the pod to be seen here. */
const UNSEEN_MS = 10_000;
const LOOK_EVERY_MS = 200;

/**
 * Answers the OCI runtime wrapper for pods that continue a saved one. {@link Restoration} has the states of one such pod, and
 * reports on it.
 *
 * The kubelet makes containers one after the other. Processes that ran side by side when they were saved, and would miss each
 * other, are restored stopped, and run when the last of them is there ({@link HeldContainers}).
 *
 * All of it can begin anew at any time: after the death of this process the wrapper asks again, or has written its result.
 */
export class RestoreDesk {
  readonly #options: RestorationOptions;
  readonly #restorations = new Map<string, Restoration>(); // pod uid -> the restore of it
  readonly #held: HeldContainers;
  #isStarted = false;

  constructor(options: RestorationOptions) {
    this.#options = options;
    this.#held = new HeldContainers({
      ...options,
      isUndecided: (podUid) => this.#restorations.get(podUid)?.isUndecided ?? false,
    });
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
      this.#held.end(uid);
      if (known === undefined) return;
      known.ended.abort(new Error('the pod is gone'));
      this.#restorations.delete(uid);
      this.#options.hands.forget(uid).catch(this.#options.onError);
    } else if (known === undefined && isToBeRestored(after)) {
      this.#begin(after);
    }
  }

  /**
   * What the wrapper shall do. Rejects with the reason of `signal` when nobody waits for the answer any more. `own` is called before
   * anything of the container is changed; see `RestoreRequestsOptions`.
   */
  async answer(request: RestoreRequest, signal: AbortSignal, own: () => Promise<void>): Promise<Answer> {
    const pod = await this.#seen(request.podUid, signal);
    if (pod.metadata.deletionTimestamp !== undefined) return LEAVING;
    const restoration = this.#restorations.get(request.podUid);
    if (restoration === undefined) return { kind: 'pass' };
    const { ended } = restoration;
    const either = AbortSignal.any([signal, ended.signal]);
    try {
      const staging = await abortable(restoration.staging, either);
      if (staging.refusal !== null) {
        restoration.fail(staging.refusal);
        return await restoration.afterFailure(request, either);
      }
      if (request.kind === 'sandbox') return { kind: 'pass' };
      const { state } = staging;
      return await restoration.turns.take(
        () => this.#answerContainer(restoration, request, { state, stop: either, own }),
        signal,
      );
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
    if (restoration === undefined || pod === undefined) return this.#held.letGo(podUid);
    this.#held.begin(podUid);
    if (!restoration.isStaged) return; // looked at again once it is
    const staging = await restoration.staging;
    if (staging.refusal !== null) {
      await this.#held.letGo(podUid);
      const began = await this.#outcomes(podUid, containersOf(pod));
      if (began.some(({ outcome }) => outcome !== null)) await restoration.startedCold(pod, staging.refusal);
      return;
    }
    const { manifest, checkpoint, madeOn } = staging.state;
    const outcomes = await this.#outcomes(podUid, namesIn(manifest));
    if (outcomes.some(({ outcome }) => outcome === null)) return;
    // One that is alone was told to wait for no other.
    if (outcomes.length > 1) await this.#held.letGo(podUid);
    else this.#held.end(podUid);
    const cold = outcomes.filter(({ outcome }) => outcome !== 'restored').map(({ name }) => name);
    if (cold.length === 0) {
      const message = `continues checkpoint ${checkpoint} from ${madeOn}`;
      return restoration.report(pod, { type: RESTORED_CONDITION, status: 'True', reason: 'Restored', message });
    }
    const { reason, message } = restoration.failure ?? {
      reason: 'RestoreFailed',
      message: 'the agent did not answer in time',
    };
    const which = cold.length < outcomes.length ? `${cold.join(', ')} started cold: ` : '';
    await restoration.startedCold(pod, { reason, message: which + message });
  }

  /** Nothing is staged or answered any more. */
  stop(): void {
    for (const { ended } of this.#restorations.values()) ended.abort(new Error('the agent stops'));
    this.#restorations.clear();
    this.#held.stop();
  }

  #begin(pod: KubeObject): void {
    const { log, onError } = this.#options;
    const podUid = pod.metadata.uid as string;
    const restoration = new Restoration(pod, this.#options);
    const { ended, staging } = restoration;
    this.#restorations.set(podUid, restoration);
    staging
      .then(async ({ refusal }) => {
        restoration.isStaged = true;
        log.info({ pod: pod.metadata.name, namespace: pod.metadata.namespace, refusal }, 'staged');
        if (refusal !== null) {
          restoration.fail(refusal);
          await restoration.sayFailed(pod, ended.signal);
        }
        await this.resultSeen(podUid); // what came up meanwhile, or before an earlier process of ours died
      })
      .catch((error: unknown) => {
        if (!ended.signal.aborted) onError(error);
      });
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
    {
      state,
      stop,
      own,
    }: { readonly state: StagedState; readonly stop: AbortSignal; readonly own: () => Promise<void> },
  ): Promise<Answer> {
    const { hands, log, clock } = this.#options;
    const startedMs = clock.monotonic();
    const { podUid } = restoration;
    const containerName = request.container ?? '';
    // Init containers run anew: Kubernetes demands of them that they can. What they wrote is replaced by what was saved.
    if (!state.manifest.containers.some(({ name }) => name === containerName)) return { kind: 'pass' };
    const outcomes = await this.#outcomes(podUid, namesIn(state.manifest));
    const runsCold = outcomes.find(({ outcome }) => outcome === 'cold' || outcome === 'passed');
    // What the pod's containers share belongs to the first that runs.
    const isFirst = outcomes.every(({ outcome }) => outcome === null);
    // A pod continues as a whole or begins anew as a whole: what was restored already knows containers that will not be there.
    const failed = async (refusal: RestoreRefusal): Promise<Answer> => {
      restoration.fail(refusal);
      const answer = await restoration.afterFailure(request, stop);
      if (answer.kind !== 'pass') return answer;
      await own();
      await hands.endRestored(podUid);
      // What runs may be writing to what it shares, and has a right to what is in there.
      await hands.clean(request, runsCold === undefined && (await hands.running(request)) === null);
      return answer;
    };
    if (restoration.failure !== null) return failed(restoration.failure);
    if (runsCold !== undefined) {
      return failed({ reason: 'RestoreFailed', message: `container ${runsCold.name} has started cold` });
    }
    if (request.attempt > 0) return failed({ reason: 'RestoreFailed', message: await hands.failure(request) });
    const running = isFirst ? await hands.running(request) : null;
    if (running !== null) {
      return failed({ reason: 'RestoreFailed', message: `container ${running} runs already, and may use the volumes` });
    }
    const pod = this.#options.pod(podUid);
    if (pod === undefined) return LEAVING;
    // The state was staged a while ago. Nothing is restored that another pod may continue by now.
    if ((await hands.word(pod, stop)) !== 'ours') {
      return failed({ reason: 'TicketEnded', message: 'the ticket no longer claims the pod' });
    }
    await own();
    let refusal: RestoreRefusal | null;
    try {
      refusal = await hands.refusal(request, state);
      if (refusal === null) {
        const { imagePath, workPath } = await hands.apply(request, state, isFirst, stop);
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

  #outcomes(
    podUid: string,
    containers: readonly string[],
  ): Promise<readonly { readonly name: string; readonly outcome: Outcome | null }[]> {
    const { hands } = this.#options;
    return Promise.all(containers.map(async (name) => ({ name, outcome: await hands.outcome(podUid, name) })));
  }
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
