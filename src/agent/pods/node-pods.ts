import type { PodUid } from '../../domain/ids.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { sleep, type Clock, type Timer } from '../../ports/clock.ts';
import type { SavablePod, SavablePods } from '../orders/savable-pod.ts';
import { Turns } from '../turns.ts';
import { retryMs, untilDone } from '../orders/retry.ts';
import type { Checkpointer } from '../checkpointer/checkpointer.ts';
import type { StateStore } from '../state/state-store.ts';
import { HoldRecords, type HoldRecord } from './hold-record.ts';
import { NodePod, type HeldContainers, type NodePodOptions } from './node-pod.ts';
import type { PodProcesses } from './pod-processes.ts';

/** How soon it is noticed that somebody else ended what stands frozen. */
const LOOK_EVERY_MS = 2000;

export interface NodePodsOptions {
  readonly processes: PodProcesses;
  readonly checkpointer: Checkpointer;
  readonly store: StateStore;
  readonly clock: Clock;
  /** Holds a folder for each order, with the record of what it has frozen. */
  readonly recordsFolder: string;
  readonly maxConcurrentDumps: number;
  /** An earlier process of the agent has left this pod frozen. */
  readonly onFound: (pod: SavablePod) => void;
  /** The frozen processes of that order are dead. */
  readonly onKilled: (key: string) => void;
  readonly onError: (error: unknown) => void;
}

/** The pods of this node, what stands frozen of them, and the states on its disk. */
export class NodePods implements SavablePods {
  readonly disk: Turns;
  readonly #options: NodePodsOptions;
  readonly #podOptions: NodePodOptions;
  readonly #records: HoldRecords;
  readonly #pods = new Map<string, NodePod>(); // uid -> pod
  readonly #references = new Set<string>();
  readonly #unwanted = new Set<string>(); // references to forget when the pod that they hold was thawed or killed
  readonly #looking = new Map<string, Promise<void>>(); // reference -> the look whether anything stands frozen for it
  readonly #life = new AbortController();
  #timer: Timer | null = null;
  #looked: Promise<unknown> = Promise.resolve();
  #isThere: ((uid: string) => boolean) | null = null; // whether the object of a pod exists; null: not known yet

  constructor(options: NodePodsOptions) {
    const { processes, checkpointer, maxConcurrentDumps, clock } = options;
    this.#options = options;
    this.disk = new Turns(maxConcurrentDumps);
    this.#records = new HoldRecords(options.recordsFolder);
    this.#podOptions = {
      processes,
      checkpointer,
      records: this.#records,
      clock,
      life: this.#life.signal,
      onKilled: (key) => this.#killed(key),
      onThawed: (key) => this.#forgetUnwanted(key),
      onError: options.onError,
    };
  }

  /**
   * Finds what an earlier process left frozen. To be called once, before the first pod is made known. Resolves when it is known
   * where to look; each pod is looked at by itself, and {@link NodePodsOptions.onFound} told: what hangs holds up one pod.
   */
  async load(): Promise<void> {
    const { clock, onError, store } = this.#options;
    const keys = new Set([...(await this.#records.keys()), ...(await store.list())]);
    for (const key of keys) {
      this.#references.add(key);
      const look = untilDone({ clock, onError, life: this.#life.signal }, () => this.#look(key));
      this.#looking.set(key, look);
    }
    this.#looked = Promise.all(this.#looking.values());
    this.#lookSoon();
  }

  /** Resolves when every pod that an earlier process left frozen was found. */
  get looked(): Promise<unknown> {
    return this.#looked;
  }

  /** Ends what was found frozen, or will be, of pods whose objects are gone: of those that are not among `objects`, which are all. */
  endOrphans(objects: readonly KubeObject[]): void {
    const uids = new Set(objects.map(({ metadata }) => metadata.uid));
    this.#isThere = (uid) => uids.has(uid);
    for (const [uid, pod] of this.#pods) {
      if (uids.has(uid)) continue;
      this.#pods.delete(uid);
      void this.#gone(pod);
    }
  }

  /** A pod of this node was added, changed or removed. */
  changed(before: KubeObject | null, after: KubeObject | null): void {
    const uid = (after ?? before)?.metadata.uid ?? '';
    let pod = this.#pods.get(uid);
    if (after === null) {
      this.#pods.delete(uid);
    } else if (pod === undefined) {
      pod = new NodePod(after, this.#podOptions);
      this.#pods.set(uid, pod);
    } else {
      pod.object = after;
    }
    if (after === null) {
      if (pod !== undefined) void this.#gone(pod);
    } else if (after.metadata.deletionTimestamp !== undefined) pod?.deleted().catch(this.#options.onError);
  }

  /** Ends nothing: what stands frozen stays so. */
  stop(): void {
    this.#timer?.cancel();
    this.#life.abort(new Error('the agent stops'));
  }

  find(uid: PodUid): SavablePod | undefined {
    return this.#pods.get(uid);
  }

  all(): Iterable<SavablePod> {
    return this.#pods.values();
  }

  references(): readonly string[] {
    return [...this.#references];
  }

  async unknownSince(reference: string, nowMs: number): Promise<number | null> {
    return (await this.isValid(reference)) ? this.#records.unknownSince(reference, nowMs) : null;
  }

  known(reference: string): Promise<void> {
    return this.#records.known(reference);
  }

  async forget(reference: string): Promise<void> {
    // What stands frozen must stay known: a later agent finds it by this record only.
    if (this.#looking.has(reference) || this.#isHeld(reference)) {
      this.#unwanted.add(reference);
      return;
    }
    this.#references.delete(reference);
    await this.#options.store.remove(reference);
    await this.#records.remove(reference);
  }

  lookedAt(reference: string): Promise<void> | null {
    return this.#looking.get(reference) ?? null;
  }

  invalidate(reference: string): Promise<void> {
    return this.#options.store.invalidate(reference);
  }

  isValid(reference: string): Promise<boolean> {
    return this.#options.store.isWhole(reference);
  }

  #isHeld(reference: string): boolean {
    return [...this.#pods.values()].some(({ frozenBy }) => frozenBy === reference);
  }

  /** Nobody looks after it any more: what fails is tried again here. */
  #gone(pod: NodePod): Promise<void> {
    const { clock, onError } = this.#options;
    return untilDone({ clock, onError, life: this.#life.signal }, () => pod.gone());
  }

  #killed(key: string): void {
    this.#forgetUnwanted(key);
    this.#options.onKilled(key);
  }

  #forgetUnwanted(key: string): void {
    if (this.#unwanted.delete(key)) this.forget(key).catch(this.#options.onError);
  }

  /** Finds out whether anything stands frozen for this order. Until then nothing else is done to its pod. */
  async #look(key: string): Promise<void> {
    const record = await this.#records.read(key);
    if (record !== null) {
      const { uid } = record.pod;
      let pod = this.#pods.get(uid);
      if (pod === undefined) {
        pod = new NodePod({ metadata: record.pod }, this.#podOptions);
        if (this.#isThere?.(uid) === false) void this.#gone(pod);
        else this.#pods.set(uid, pod);
      }
      await pod.takeOver(() => this.#found(key, record));
      if (pod.frozenBy === key) this.#options.onFound(pod);
    }
    this.#looking.delete(key);
    if (!this.#isHeld(key) && this.#unwanted.delete(key)) await this.forget(key);
  }

  /**
   * The containers of a hold record that still stand frozen. The agent asks the runtime until it answers; at `thawAt`, once no dump is
   * under way, the agent resumes all of them without an answer.
   */
  async #found(key: string, record: HoldRecord): Promise<HeldContainers | null> {
    const { clock, onError, processes, checkpointer } = this.#options;
    await checkpointer.undisturbed(record.token);
    for (let failures = 1; ; failures++) {
      try {
        return await this.#foundHold(key, record);
      } catch (error) {
        onError(error);
      }
      if (clock.monotonic() >= record.thawAt.monotonicMs) {
        const resumes = await Promise.allSettled(record.containers.map((id) => processes.resume(id)));
        if (resumes.every(({ status }) => status === 'fulfilled')) return null;
      }
      await sleep(clock, retryMs(failures), this.#life.signal);
    }
  }

  /**
   * Where the rest runs, the agent died between two pauses or two resumes: all goes on. Where the rest is dead, it died between
   * two kills, if the state is whole: what is left must not go on.
   */
  async #foundHold(key: string, record: HoldRecord): Promise<HeldContainers | null> {
    const { processes } = this.#options;
    const { containers, thawAt, keepFrozen, token, pod } = record;
    const present = await processes.containers(pod.uid);
    const paused = present.filter(({ id, status }) => containers.includes(id) && status === 'paused');
    if (paused.length === 0) return null;
    const runs = present.some(({ id, status }) => containers.includes(id) && status === 'running');
    const isSaved = await this.isValid(key);
    if (runs || (paused.length < containers.length && !isSaved)) {
      await Promise.all(paused.map(({ id }) => processes.resume(id)));
      return null;
    }
    return { key, thawAt, keepFrozen, token, containers: paused.map(({ id }) => id), isSaved };
  }

  #lookSoon(): void {
    const { clock, onError } = this.#options;
    this.#timer = clock.setTimer(LOOK_EVERY_MS, () => {
      Promise.all([...this.#pods.values()].map((pod) => pod.lookAfter()))
        .catch(onError)
        .finally(() => this.#lookSoon());
    });
  }
}
