import type { KubeObject } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Hold, HoldTerms } from '../../agent/orders/savable-pod.ts';
import { Turns } from '../../agent/turns.ts';

/**
 * The one process of a simulated pod. Its work is a number: seconds of progress.
 *
 *     starting ──> running <──> frozen
 *        │            │            │
 *        │            v            │
 *        │       terminating       │
 *        └────────────┴────────────┴──> ended
 *
 * Progress is made in `running` only.
 */
export type ContainerState = 'starting' | 'running' | 'frozen' | 'terminating' | 'ended';

export class Container {
  readonly uid: string;
  readonly nodeName: string;
  /** The newest version of its pod. */
  pod: KubeObject;
  /** Null while it is not frozen; stays when it ends frozen. */
  hold: Hold | null = null;
  /** Ends what the kubelet or the agent is waiting for when the pod goes. */
  readonly ended = new AbortController();
  /** 0 once its work was done; what ends it later does not change that. */
  exitCode: 0 | 137 = 137;
  /** Its end was written to its pod's status. */
  isEndTold = false;
  /** The kubelet's status writes, in order: one that is tried again must not overtake the next. */
  readonly writes = new Turns();
  readonly #clock: Clock;
  #state: ContainerState = 'starting';
  #stateSinceMs: number;
  #progressMs = 0;

  constructor(pod: KubeObject, nodeName: string, clock: Clock) {
    this.pod = pod;
    this.uid = pod.metadata.uid as string;
    this.nodeName = nodeName;
    this.#clock = clock;
    this.#stateSinceMs = clock.now();
  }

  get state(): ContainerState {
    return this.#state;
  }

  /** Seconds in the current state. */
  get stateSeconds(): number {
    return (this.#clock.monotonic() - this.#stateSinceMs) / 1000;
  }

  /** Seconds of work done so far. */
  get progressSeconds(): number {
    const runningMs = this.#state === 'running' ? this.#clock.monotonic() - this.#stateSinceMs : 0;
    return (this.#progressMs + runningMs) / 1000;
  }

  /** Begins to work, from the start or from a saved state. */
  run(progressSeconds: number): void {
    this.#progressMs = progressSeconds * 1000;
    this.#enter('running');
  }

  /** Key of the order that froze it. */
  get frozenBy(): string | null {
    return this.hold?.key ?? null;
  }

  freeze(terms: HoldTerms): void {
    this.hold = { ...terms, isSaved: false };
    this.#enter('frozen');
  }

  saved(): void {
    if (this.hold !== null) this.hold = { ...this.hold, isSaved: true };
  }

  thaw(): void {
    this.hold = null;
    this.#enter('running');
  }

  terminate(): void {
    this.#enter('terminating');
  }

  end(): void {
    if (this.#state === 'ended') return;
    this.#enter('ended');
    this.ended.abort(new Error('the container ended'));
  }

  #enter(state: ContainerState): void {
    this.#progressMs = this.progressSeconds * 1000;
    this.#state = state;
    this.#stateSinceMs = this.#clock.monotonic();
  }
}
