import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import type { ServerWrite } from '../../src/sim/api-server/server-options.ts';
import { failureActionOf } from '../../src/sim/controllers/pod-failure-policy.ts';
import { deletionBegun, isProtectedFor, isSavedAndStill, ticketOfVictim } from './evidence.ts';
import { ownerOf } from './identity.ts';
import type { Truth } from './truth.ts';

/** An Event is written in the background, one after the other. */
const TOLD_MS = 30_000;
/** A leader reads each Job once a minute, and what it read is behind. */
const READ_MS = 90_000;

interface Failures {
  readonly pods: readonly string[]; // uids
  readonly firstMs: number;
}

interface FailedJob extends Failures {
  readonly name: string;
  readonly leader: string | null;
  readonly atMs: number;
}

/** Jobs that failed because saved pods of theirs were evicted, until an Event is found that said so. */
export class FailedJobs {
  readonly #saved = new Map<string, Failures>(); // job uid -> saved pods that it counts as failures
  readonly #warned = new Set<string>(); // pod uid
  /** When it was made, its first pod ran, policies came to save its pods, or one failed for another reason. */
  readonly #changedMs = new Map<string, number>(); // job uid -> time
  #untold: readonly FailedJob[] = [];

  written(truth: Truth, write: ServerWrite): void {
    if (write.kind === RESOURCES.pods) {
      this.#noteEviction(truth, write);
      this.#noteStart(truth, write);
    } else if (write.kind === RESOURCES.jobs) this.#noteJob(truth, write);
    else if (write.kind === RESOURCES.events) {
      const { reason, involvedObject } = write.object as unknown as EventTold;
      if (reason === 'JobWouldFail') this.#warned.add(involvedObject?.uid ?? '');
    }
  }

  /** One that no Event told of, though the same replica has led and been well since. */
  untold(truth: Truth): string | null {
    if (this.#untold.length === 0) return null;
    const { process } = truth.world.leader()?.replica ?? {};
    const isLeading = process?.isWell === true && process.name === truth.holder;
    this.#untold = this.#untold.filter(
      ({ leader, pods }) => isLeading && leader === truth.holder && !pods.some((uid) => this.#warned.has(uid)),
    );
    return this.#untold.find(({ atMs }) => truth.world.elapsedMs - atMs >= TOLD_MS)?.name ?? null;
  }

  clear(): void {
    for (const memory of [this.#saved, this.#warned, this.#changedMs]) memory.clear();
    this.#untold = [];
  }

  /** Jobs are read for the pods that would be saved: not before one of them runs. */
  #noteStart(truth: Truth, { object, previous }: ServerWrite): void {
    if (!isRunning(object) || isRunning(previous)) return;
    const uid = ownerOf(object)?.uid ?? '';
    const isOther = (pod: KubeObject): boolean => pod.metadata.uid !== object.metadata.uid && ownerOf(pod)?.uid === uid;
    if (!truth.world.api.list(RESOURCES.pods).some((pod) => isOther(pod) && isRunning(pod)))
      this.#changedMs.set(uid, truth.world.elapsedMs);
  }

  #noteEviction(truth: Truth, write: ServerWrite): void {
    const deleted = deletionBegun({ kind: 'write', write });
    if (deleted === null) return;
    const uid = ownerOf(deleted.object)?.uid ?? '';
    const job = truth.world.api.list(RESOURCES.jobs).find(({ metadata }) => metadata.uid === uid);
    if (job === undefined) return;
    const ticket = ticketOfVictim(truth, deleted.uid);
    const isSaved = ticket !== undefined && isSavedAndStill(truth, deleted.object, ticket);
    const { podFailurePolicy } = specOf(job);
    if (failureActionOf(podFailurePolicy, deleted.object) === 'Ignore') return;
    if (!deleted.by.startsWith('reprieve') || !isSaved) {
      this.#changedMs.set(uid, truth.world.elapsedMs);
      return;
    }
    // Jobs are read for the pods that policies save: a pod that they have just come to save tells of a Job that was not read before.
    if (!this.#saved.has(uid) && !isProtectedFor(truth, deleted.object, READ_MS))
      this.#changedMs.set(uid, truth.world.elapsedMs);
    const { pods, firstMs } = this.#saved.get(uid) ?? { pods: [], firstMs: truth.world.elapsedMs };
    this.#saved.set(uid, { pods: [...pods, deleted.uid], firstMs });
  }

  #noteJob(truth: Truth, { type, object, previous }: ServerWrite): void {
    const { uid, name } = object.metadata;
    if (type === 'ADDED') this.#changedMs.set(uid, truth.world.elapsedMs);
    const saved = this.#saved.get(uid);
    if (saved === undefined || previous === null || !isFailing(object) || isFailing(previous)) return;
    const others = failuresOf(object) - saved.pods.length;
    const readMs = Math.max(this.#changedMs.get(uid) ?? 0, truth.leadingSinceMs);
    const isFresh = saved.firstMs - readMs < READ_MS;
    if (others > (specOf(object).backoffLimit ?? 6) || isFresh) return;
    this.#untold = [...this.#untold, { ...saved, name, leader: truth.holder, atMs: truth.world.elapsedMs }];
  }
}

interface EventTold {
  readonly reason?: string;
  readonly involvedObject?: { readonly uid?: string };
}

interface JobSpec {
  readonly backoffLimit?: number;
  readonly podFailurePolicy?: Parameters<typeof failureActionOf>[0];
}

function specOf(job: KubeObject): JobSpec {
  return job['spec'] as JobSpec;
}

interface JobStatus {
  readonly failed?: number;
  readonly uncountedTerminatedPods?: { readonly failed?: readonly string[] };
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
}

function isRunning(pod: KubeObject | null): boolean {
  return (pod?.['status'] as { readonly phase?: string } | undefined)?.phase === 'Running';
}

function isFailing(job: KubeObject): boolean {
  const { conditions = [] } = (job['status'] ?? {}) as JobStatus;
  return conditions.some(({ type, status }) => type === 'FailureTarget' && status === 'True');
}

function failuresOf(job: KubeObject): number {
  const { failed = 0, uncountedTerminatedPods } = (job['status'] ?? {}) as JobStatus;
  return failed + (uncountedTerminatedPods?.failed?.length ?? 0);
}
