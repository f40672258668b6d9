import type { Clock, Timer } from '../../ports/clock.ts';
import type { Rejector } from './filters.ts';
import type { PodInfo } from './pod-info.ts';

/** kube-scheduler's defaults: `podInitialBackoffSeconds`, `podMaxBackoffSeconds`, and the flush of what nothing woke. */
const FIRST_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 10_000;
const FLUSH_EVERY_MS = 30_000;
const FLUSH_AFTER_MS = 5 * 60_000;

/** Something that may make a pod schedulable. `maxPriority` limits it to pods that stood behind the one that left. */
export type ClusterEvent =
  | { readonly type: 'assigned-pod-removed'; readonly maxPriority: number }
  | { readonly type: 'node-changed' }
  | { readonly type: 'other' };

/** A pending pod with its history. */
export interface QueuedPod {
  info: PodInfo;
  readonly sequence: number; // of arrival
  readonly createdMs: number;
  /** Of the arrival, then of the last failure: the second criterion of the active queue, and the start of the backoff. */
  sinceMs: number;
  unschedulableCount: number;
  errorCount: number;
  rejectors: ReadonlySet<Rejector>;
  neededPreemption: boolean;
  place: 'active' | 'backoff' | 'error-backoff' | 'unschedulable' | 'in-flight';
}

/**
 * The pending pods, after `scheduling_queue.go` of 1.37:
 *
 *     add ──> active ──pop──> in flight ──bound──> (gone)
 *               ^ ^               │failed
 *               │ │  event seen   ├──> backoff        1 s, doubled up to 10 s; popped at once when active is empty
 *               │ └───────────────┤
 *               │    error        ├──> error-backoff  the same times, never popped early
 *               │                 └──> unschedulable  until an event that its rejectors care about, or 5 min
 *               └── gates off, event after the backoff
 *
 * A pod with scheduling gates, or one whose own evictions are still being sent, stays in `unschedulable`. Events that
 * arrive while a pod is in flight are kept and looked at when it fails.
 */
export class SchedulingQueue {
  readonly #clock: Clock;
  readonly #isPreempting: (uid: string) => boolean;
  readonly #onReady: () => void;
  readonly #pods = new Map<string, QueuedPod>(); // by UID, the one in flight included
  readonly #missed: { readonly event: ClusterEvent; readonly uid: string | null }[] = []; // during the current cycle
  #inFlight: QueuedPod | null = null;
  #sequence = 0;
  #backoffTimer: Timer | null = null;
  #flushTimer: Timer | null = null;

  /** `onReady` is called whenever {@link pop} may have something. */
  constructor(options: {
    readonly clock: Clock;
    /** The evictions for this pod are still being sent: trying it again would evict for it twice. */
    readonly isPreempting: (uid: string) => boolean;
    readonly onReady: () => void;
  }) {
    this.#clock = options.clock;
    this.#isPreempting = options.isPreempting;
    this.#onReady = options.onReady;
    this.#scheduleFlush();
  }

  stop(): void {
    this.#backoffTimer?.cancel();
    this.#flushTimer?.cancel();
  }

  /** How many pods wait in each place. */
  counts(): Readonly<Record<QueuedPod['place'], number>> {
    const counts = { active: 0, backoff: 0, 'error-backoff': 0, unschedulable: 0, 'in-flight': 0 };
    for (const { place } of this.#pods.values()) counts[place]++;
    return counts;
  }

  add(info: PodInfo): void {
    const nowMs = this.#clock.monotonic();
    // Creation times are whole seconds; a pod that is seen within its second was created just now.
    const createdMs = nowMs - info.pod.creationMs < 1000 ? nowMs : info.pod.creationMs;
    const queued: QueuedPod = {
      info,
      sequence: this.#sequence++,
      createdMs,
      sinceMs: nowMs,
      unschedulableCount: 0,
      errorCount: 0,
      rejectors: new Set(),
      neededPreemption: false,
      place: 'unschedulable',
    };
    this.#pods.set(info.pod.uid, queued);
    this.#activate(queued);
  }

  update(before: PodInfo, after: PodInfo): void {
    const queued = this.#pods.get(after.pod.uid);
    if (queued === undefined) {
      this.add(after);
      return;
    }
    queued.info = after;
    if (queued.place === 'in-flight') {
      this.#missed.push({ event: { type: 'other' }, uid: after.pod.uid });
      return;
    }
    if (queued.place !== 'unschedulable') return;
    if (before.pod.gates.length > 0 && after.pod.gates.length === 0) this.#activate(queued);
    else if (isWorthwhile(queued, { type: 'other' }) || tolerationsChanged(before, after)) this.#wake(queued);
  }

  delete(uid: string): void {
    this.#pods.delete(uid);
  }

  /** The next pod to try: the highest priority, then the longest wait. Takes one out of backoff when nothing else is there. */
  pop(): QueuedPod | null {
    const queued = this.#first('active') ?? this.#first('backoff');
    if (queued === null) return null;
    queued.place = 'in-flight';
    this.#inFlight = queued;
    this.#missed.length = 0;
    return queued;
  }

  /** The cycle of the pod has ended well: it is assumed on a node, or not to be scheduled after all. */
  done(queued: QueuedPod): void {
    this.#endFlight(queued);
    if (this.#pods.get(queued.info.pod.uid) === queued) this.#pods.delete(queued.info.pod.uid);
  }

  /** The pod was rejected, or (no rejectors) the attempt ended in an error. */
  addUnschedulable(queued: QueuedPod, rejectors: ReadonlySet<Rejector>): void {
    const missed = this.#inFlight === queued ? [...this.#missed] : [];
    this.#endFlight(queued);
    queued.sinceMs = this.#clock.monotonic();
    queued.rejectors = rejectors;
    this.#pods.set(queued.info.pod.uid, queued);
    if (rejectors.size === 0) {
      queued.errorCount++;
      this.#place(queued, 'error-backoff');
      return;
    }
    queued.unschedulableCount++;
    queued.errorCount = 0;
    queued.place = 'unschedulable';
    const { uid } = queued.info.pod;
    const wakes = missed.some(({ event, uid: of }) => (of === null || of === uid) && isWorthwhile(queued, event));
    if (wakes) this.#wake(queued);
  }

  /** Something happened in the cluster: wakes all pods that it may help. */
  notify(event: ClusterEvent): void {
    if (this.#inFlight !== null) this.#missed.push({ event, uid: null });
    for (const queued of this.#pods.values()) {
      if (queued.place === 'unschedulable' && isWorthwhile(queued, event)) this.#wake(queued);
    }
  }

  /** Tries the pod again whatever its backoff (`Activate`): its evictions have failed and no event will come. */
  activate(uid: string): void {
    const queued = this.#pods.get(uid);
    if (queued !== undefined && queued.place !== 'in-flight') this.#activate(queued);
  }

  #endFlight(queued: QueuedPod): void {
    if (this.#inFlight !== queued) return;
    this.#inFlight = null;
    this.#missed.length = 0;
  }

  #wake(queued: QueuedPod): void {
    if (backoffEndMs(queued) <= this.#clock.monotonic()) this.#activate(queued);
    else if (this.#passesPreEnqueue(queued)) this.#place(queued, 'backoff');
  }

  #activate(queued: QueuedPod): void {
    if (this.#passesPreEnqueue(queued)) this.#place(queued, 'active');
    else queued.place = 'unschedulable';
  }

  #passesPreEnqueue({ info: { pod } }: QueuedPod): boolean {
    return pod.gates.length === 0 && !this.#isPreempting(pod.uid);
  }

  #place(queued: QueuedPod, place: 'active' | 'backoff' | 'error-backoff'): void {
    queued.place = place;
    if (place !== 'active') this.#scheduleBackoff();
    if (place !== 'error-backoff') this.#onReady();
  }

  #first(place: 'active' | 'backoff'): QueuedPod | null {
    const compare = place === 'active' ? compareActive : compareBackoff;
    let first: QueuedPod | null = null;
    for (const queued of this.#pods.values()) {
      if (queued.place === place && (first === null || compare(queued, first) < 0)) first = queued;
    }
    return first;
  }

  /** Moves what has waited long enough; sets the timer for the next. */
  #scheduleBackoff(): void {
    let nextMs = Infinity;
    for (const queued of this.#pods.values()) {
      if (queued.place !== 'backoff' && queued.place !== 'error-backoff') continue;
      nextMs = Math.min(nextMs, backoffEndMs(queued));
    }
    this.#backoffTimer?.cancel();
    if (nextMs === Infinity) return;
    this.#backoffTimer = this.#clock.setTimer(nextMs - this.#clock.monotonic(), () => {
      for (const queued of this.#pods.values()) {
        if (queued.place !== 'backoff' && queued.place !== 'error-backoff') continue;
        if (backoffEndMs(queued) <= this.#clock.monotonic()) this.#activate(queued);
      }
      this.#scheduleBackoff();
    });
  }

  #scheduleFlush(): void {
    this.#flushTimer = this.#clock.setTimer(FLUSH_EVERY_MS, () => {
      const latestMs = this.#clock.monotonic() - FLUSH_AFTER_MS;
      for (const queued of this.#pods.values()) {
        if (queued.place === 'unschedulable' && queued.sinceMs < latestMs) this.#wake(queued);
      }
      this.#scheduleFlush();
    });
  }
}

/** The queueing hints: what the plugins that rejected the pod care about. */
function isWorthwhile({ info, rejectors }: QueuedPod, event: ClusterEvent): boolean {
  if (event.type === 'assigned-pod-removed' && info.pod.priority > event.maxPriority) return false;
  // An extender may have refused for any reason, so any event may have taken it away.
  if (rejectors.has('Extender')) return true;
  switch (event.type) {
    case 'assigned-pod-removed':
      return rejectors.has('NodeResourcesFit');
    case 'node-changed':
      return rejectors.size > 0;
    case 'other':
      return false;
    default:
      return event satisfies never;
  }
}

function backoffEndMs({ sinceMs, unschedulableCount, errorCount }: QueuedPod): number {
  const count = errorCount > 0 ? errorCount : unschedulableCount;
  return count === 0 ? sinceMs : sinceMs + Math.min(FIRST_BACKOFF_MS * 2 ** (count - 1), MAX_BACKOFF_MS);
}

function compareActive(a: QueuedPod, b: QueuedPod): number {
  return b.info.pod.priority - a.info.pod.priority || a.sinceMs - b.sinceMs || a.sequence - b.sequence;
}

/** Backoffs that end within the same second are equal, so that the priority decides (`lessBackoffCompletedWithPriority`). */
function compareBackoff(a: QueuedPod, b: QueuedPod): number {
  const window = (queued: QueuedPod): number => Math.floor(backoffEndMs(queued) / 1000);
  return window(a) - window(b) || compareActive(a, b);
}

function tolerationsChanged(before: PodInfo, after: PodInfo): boolean {
  return after.pod.tolerations.length !== before.pod.tolerations.length;
}
