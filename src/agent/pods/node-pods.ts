import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { PodUid } from '../../domain/ids.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { SavablePod, SavablePods } from '../orders/savable-pod.ts';
import { Turns } from '../turns.ts';
import { HoldRecords } from './hold-record.ts';
import { NodePod, type Hold, type NodePodOptions } from './node-pod.ts';
import type { PodProcesses } from './pod-processes.ts';

/** How soon it is noticed that somebody else ended what stands frozen. */
const LOOK_EVERY_MS = 2000;

export interface NodePodsOptions {
  readonly processes: PodProcesses;
  readonly clock: Clock;
  /** Saved pods, a folder for each. */
  readonly folder: string;
  /** A file in such a folder that exists once the state is whole. */
  readonly manifestFile: string;
  readonly maxConcurrentDumps: number;
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
  readonly #unwanted = new Set<string>(); // references to forget when what stands frozen for them is dead
  readonly #life = new AbortController();
  #timer: Timer | null = null;

  constructor(options: NodePodsOptions) {
    const { processes, maxConcurrentDumps, clock } = options;
    this.#options = options;
    this.disk = new Turns(maxConcurrentDumps);
    this.#records = new HoldRecords(options.folder);
    this.#podOptions = {
      processes,
      records: this.#records,
      clock,
      life: this.#life.signal,
      onKilled: (key) => this.#killed(key),
    };
  }

  /** Finds what an earlier process left frozen. To be called once, before the first pod is made known. */
  async load(): Promise<void> {
    for (const key of await this.#records.keys()) {
      this.#references.add(key);
      const record = await this.#records.read(key);
      if (record === null) continue;
      const hold = await this.#foundHold(key, record.pod.uid, record.containers);
      if (hold !== null) this.#pods.set(record.pod.uid, new NodePod({ metadata: record.pod }, this.#podOptions, hold));
    }
    this.#lookSoon();
  }

  /** Ends what was found frozen of pods whose objects are gone: of those that are not among `objects`, which are all. */
  async endOrphans(objects: readonly KubeObject[]): Promise<void> {
    const uids = new Set(objects.map(({ metadata }) => metadata.uid));
    for (const [uid, pod] of this.#pods) {
      if (uids.has(uid)) continue;
      this.#pods.delete(uid);
      await pod.gone();
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
    if (after === null) pod?.gone().catch(this.#options.onError);
    else if (after.metadata.deletionTimestamp !== undefined) pod?.deleted().catch(this.#options.onError);
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

  async forget(reference: string): Promise<void> {
    // What stands frozen must stay known: a later agent finds it by this record only.
    for (const pod of this.#pods.values()) {
      if (pod.frozenBy !== reference) continue;
      this.#unwanted.add(reference);
      return;
    }
    this.#references.delete(reference);
    await this.#records.remove(reference);
  }

  #killed(key: string): void {
    const { onKilled, onError } = this.#options;
    if (this.#unwanted.delete(key)) this.forget(key).catch(onError);
    onKilled(key);
  }

  /**
   * What of a record is still frozen. Where the rest runs, the agent died between two pauses or two resumes: all goes on. Where the
   * rest is dead, it died between two kills, if the state is whole: what is left must not go on.
   */
  async #foundHold(key: string, podUid: string, containers: readonly string[]): Promise<Hold | null> {
    const { processes, folder, manifestFile } = this.#options;
    await processes.undisturbed(containers);
    const present = await processes.containers(podUid);
    const paused = present.filter(({ id, status }) => containers.includes(id) && status === 'paused');
    if (paused.length === 0) return null;
    const runs = present.some(({ id, status }) => containers.includes(id) && status === 'running');
    const saved = await access(join(folder, key, manifestFile)).then(
      () => true,
      () => false,
    );
    if (runs || (paused.length < containers.length && !saved)) {
      for (const { id } of paused) await processes.resume(id);
      return null;
    }
    return { key, containers: paused.map(({ id }) => id), saved };
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
