import { randomUUID } from 'node:crypto';
import type { CheckpointRules } from '../../domain/checkpoint-rules.ts';
import { messageOf } from '../../domain/message-of.ts';
import type { Checkpointer } from '../checkpointer/checkpointer.ts';
import type { Dump, DumpProgress, Hold, HoldTerms, SavablePod, SaveFailure } from '../orders/savable-pod.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { sleep, within, type Clock } from '../../ports/clock.ts';
import { Turns } from '../turns.ts';
import { deletionNotice, generationOf } from './deletion-notice.ts';

import { longestFreezeMs } from './probes.ts';
import type { HoldRecords } from './hold-record.ts';
import type { PodIdentity, PodProcesses } from './pod-processes.ts';
import { inSpecOrder, missingContainer } from './spec-containers.ts';

/** A look takes some milliseconds. /proc makes a reader wait for a process that waits for a device. */
const OBSTACLE_WITHIN_MS = 5_000;

/** By which order which containers stand frozen. */
export interface HeldContainers extends HoldTerms {
  readonly containers: readonly string[];
  /** See `HoldRecord`. */
  readonly token: string;
  /** Their state is on the disk, whole. */
  isSaved: boolean;
}

export interface NodePodOptions {
  readonly processes: PodProcesses;
  readonly checkpointer: Checkpointer;
  readonly records: HoldRecords;
  readonly clock: Clock;
  /** Ends with the agent: what waits then is left to the next one. */
  readonly life: AbortSignal;
  /** The processes that an order held are dead. */
  readonly onKilled: (key: string) => void;
  /** The pod was thawed: no order holds it any more. */
  readonly onThawed: (key: string) => void;
  /** Told of what does not keep the pod from going on. */
  readonly onError: (error: unknown) => void;
}

/** A pod of this node: its object as it was seen last, and what stands frozen of it. */
export class NodePod implements SavablePod {
  object: KubeObject;
  readonly #options: NodePodOptions;
  readonly #ended = new AbortController();
  readonly #mayKill = new AbortController(); // nobody would start again what is killed
  #deletedAt: number | null = null; // generation of the object when its deletion was seen first
  #isEnding = false; // a kill, or a wait for one, is under way
  readonly #turns = new Turns(); // pausing, resuming and killing one pod never overlap
  #hold: HeldContainers | null = null;

  constructor(object: KubeObject, options: NodePodOptions) {
    this.object = object;
    this.#options = options;
  }

  /** Takes over what an earlier process of the agent froze, as `look` finds it. Until then nothing is frozen or thawed here. */
  async takeOver(look: () => Promise<HeldContainers | null>): Promise<void> {
    await this.#turns.take(async () => {
      this.#hold = await look();
    });
    const { onError } = this.#options;
    if (this.#mayKill.signal.aborted) this.gone().catch(onError);
    else if (this.object.metadata.deletionTimestamp !== undefined) this.deleted().catch(onError);
  }

  get state(): SavablePod['state'] {
    if (this.#ended.signal.aborted) return 'ended';
    if (this.#hold !== null) return 'frozen';
    const { phase } = (this.object['status'] ?? {}) as { readonly phase?: string };
    if (phase === 'Succeeded' || phase === 'Failed') return 'ended';
    if (this.object.metadata.deletionTimestamp !== undefined) return 'terminating';
    return phase === 'Running' ? 'running' : 'starting';
  }

  get frozenBy(): string | null {
    return this.#hold?.key ?? null;
  }

  get hold(): Hold | null {
    return this.#hold;
  }

  get longestFreezeMs(): number | null {
    return longestFreezeMs(this.object);
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  annotations(): Readonly<Record<string, string>> {
    return {};
  }

  freeze(terms: HoldTerms, stop: AbortSignal): Promise<SaveFailure | null> {
    return this.#turns.take(() => this.#freeze(terms), stop);
  }

  async thaw(): Promise<void> {
    await this.#turns.take(async () => {
      if (!this.#ended.signal.aborted) await this.#release();
    });
  }

  async dump(key: string, rules: CheckpointRules, stop: AbortSignal): Promise<Dump> {
    const { longestFreezeMs } = this;
    const { containers: frozen = [], token = '' } = this.#hold ?? {};
    const present = await this.#options.processes.containers(this.#identity.uid);
    const lasting = inSpecOrder(this.object, present).filter(({ id }) => frozen.includes(id));
    const containers = lasting.map(({ id }) => id);
    const request = { pod: this.#identity, key, containers, rules, token, longestFreezeMs };
    const dump = await this.#options.checkpointer.save(request, stop);
    if (dump.failure === null && this.#hold !== null) this.#hold.isSaved = true;
    return dump;
  }

  progress(key: string): Promise<DumpProgress | null> {
    return this.#options.checkpointer.progress(key);
  }

  deletionSeen(object: KubeObject): void {
    this.object = object;
    this.deleted().catch(this.#options.onError);
  }

  /**
   * The pod is being deleted. What is saved is killed, without ever going on, once the kubelet knows of the deletion: before, it
   * would find a dead container of a pod that is to run, start it anew, and give that one its whole grace period. What is not
   * saved goes on, for whoever deleted it meant it to end in its own way. To be called at each change of the object.
   */
  async deleted(): Promise<void> {
    this.#deletedAt ??= generationOf(this.object);
    const { isSeen, waitMs } = deletionNotice(this.object, this.#deletedAt);
    if (isSeen) this.#mayKill.abort();
    await this.#end(waitMs);
  }

  /** Its object is gone: as {@link deleted}, at once. */
  async gone(): Promise<void> {
    this.#mayKill.abort();
    await this.#end(0);
  }

  /**
   * Whether any of the frozen processes is still there: the kernel and the kubelet can end them as well. As long as one is, it is
   * held for whoever lets it go on or kills it. A kill that failed is tried again.
   */
  async lookAfter(): Promise<void> {
    const hold = this.#hold;
    if (hold === null) return;
    if (this.#ended.signal.aborted) await this.#end(0);
    const present = await this.#options.processes.containers(this.#identity.uid);
    const isThere = (id: string): boolean => present.some((one) => one.id === id && one.status !== 'other');
    if (this.#hold !== hold || hold.containers.some(isThere)) return;
    this.#hold = null;
    this.#options.onKilled(hold.key);
  }

  async #end(waitMs: number): Promise<void> {
    if (this.#hold === null || this.#isEnding) return;
    this.#isEnding = true;
    try {
      await this.#endHeld(this.#hold, waitMs);
    } finally {
      this.#isEnding = false;
    }
  }

  async #endHeld({ key, isSaved: saved }: HeldContainers, waitMs: number): Promise<void> {
    const { clock, life, onKilled } = this.#options;
    this.#ended.abort(new Error('the pod is being deleted'));
    const mayKill = this.#mayKill.signal;
    if (saved && !mayKill.aborted) {
      await sleep(clock, waitMs, AbortSignal.any([mayKill, life])).catch(() => undefined);
      if (life.aborted && !mayKill.aborted) return;
    }
    await this.#turns.take(async () => {
      if (this.#hold === null) return; // it went on, or somebody else ended it, while this waited
      if (saved) await this.#kill(this.#hold.containers);
      else await this.#release();
      this.#hold = null;
      onKilled(key);
    });
  }

  /** All of them, also where one cannot be. */
  async #kill(containers: readonly string[]): Promise<void> {
    const kills = await Promise.allSettled(containers.map((id) => this.#options.processes.kill(id)));
    for (const kill of kills) if (kill.status === 'rejected') throw kill.reason;
  }

  /** Its deletion is on its way, or over. What is not frozen by then ends as whoever deleted it meant. */
  get #isGoing(): boolean {
    return this.#deletedAt !== null || this.#mayKill.signal.aborted;
  }

  get #identity(): PodIdentity {
    const { namespace = '', name, uid = '' } = this.object.metadata;
    return { namespace, name, uid };
  }

  async #freeze(terms: HoldTerms): Promise<SaveFailure | null> {
    const { processes, checkpointer, records, clock } = this.#options;
    const { name, uid } = this.#identity;
    const isFrozenHere = checkpointer.guarantee === 'StaysFrozen';
    if (terms.keepFrozen && !isFrozenHere) {
      return { reason: 'NotCheckpointable', message: `this node saves pod ${name} only while it runs on` };
    }
    if (this.#hold !== null) return { reason: 'NotRunning', message: `pod ${name} is frozen already` };
    const running = await processes.containers(uid);
    const going: SaveFailure = { reason: 'NotRunning', message: `pod ${name} is being deleted` };
    if (this.#isGoing) return going;
    const missing = missingContainer(this.object, running);
    if (missing !== null) return { reason: 'NotRunning', message: `container ${missing} of pod ${name} does not run` };
    const obstacle = await within(clock, OBSTACLE_WITHIN_MS, checkpointer.obstacle(this.object));
    if (obstacle !== null) return obstacle;
    const containers = running.filter(({ status }) => status === 'running').map(({ id }) => id);
    const token = randomUUID();
    const { key, thawAt, keepFrozen } = terms;
    try {
      await records.write(key, { pod: this.#identity, containers, thawAt, keepFrozen, token });
    } catch (error) {
      const isFull = (error as NodeJS.ErrnoException).code === 'ENOSPC';
      return { reason: isFull ? 'NoSpace' : 'DumpFailed', message: `nothing can be written down: ${messageOf(error)}` };
    }
    this.#hold = { key, thawAt, keepFrozen, containers, token, isSaved: false };
    try {
      if (isFrozenHere) await processes.pause(containers);
    } catch (error) {
      await this.#release();
      return { reason: 'DumpFailed', message: `it could not be frozen: ${messageOf(error)}` };
    }
    if (!this.#isGoing) return null;
    await this.#release();
    return going;
  }

  /** All of them, also where one cannot be. */
  async #release(): Promise<void> {
    const { processes, records, onError } = this.#options;
    const hold = this.#hold;
    if (hold === null) return;
    const resumes = await Promise.allSettled(hold.containers.map((id) => processes.resume(id)));
    for (const resume of resumes) if (resume.status === 'rejected') throw resume.reason;
    this.#hold = null;
    // A record that stays names containers that run: whoever finds it sees that.
    await records.end(hold.key).catch(onError);
    this.#options.onThawed(hold.key);
  }
}
