import type { Policy, PolicyReport } from '../../domain/policy.ts';
import type { ClusterView } from '../../index/types.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { Command } from '../core/commands.ts';
import type { Executor } from '../core/executor.ts';
import { PolicyCensus, type OwnerRef } from './policy-census.ts';

/** Between two censuses; what a policy's status says is for people, who do not look more often. */
const CENSUS_EVERY_MS = 10_000;
/** Pods counted in one go: half a millisecond of the event loop for 4 policies. */
const SLICE_PODS = 1_000;

export interface PolicyReporterOptions {
  readonly view: ClusterView;
  readonly clock: Clock;
  /** False: nothing is written (not synced, or another replica leads). */
  readonly mayAct: () => boolean;
  /** One of its own: a status that cannot be written must not take a place from what moves pods. */
  readonly executor: Pick<Executor, 'run'>;
}

/**
 * Keeps the status of every ReprievePolicy true. While something changes it takes a census every ten seconds, in slices
 * between which other work of the process runs, and writes what differs from what the policies say.
 *
 *     idle ──poke──> due ──10 s after the last──> counting ──> idle; due again where something changed meanwhile
 */
export class PolicyReporter {
  readonly #options: PolicyReporterOptions;
  #timer: Timer | null = null; // of the next census, or of the next slice of this one
  #lastMs = Number.NEGATIVE_INFINITY;
  #isCounting = false;
  #changedMeanwhile = false;
  #reports: ReadonlyMap<string, PolicyReport> = new Map(); // policy -> what the last census found
  #savedJobs: readonly OwnerRef[] = [];
  #stopped = false;

  constructor(options: PolicyReporterOptions) {
    this.#options = options;
  }

  /** Something changed: what the policies say may no longer be true. */
  poke(): void {
    if (this.#isCounting) this.#changedMeanwhile = true;
    else this.#plan();
  }

  /** Jobs of pods that would be saved, by the last census. */
  get savedJobs(): readonly OwnerRef[] {
    return this.#savedJobs;
  }

  /** Writes what the last census found and the policies do not say yet. To be called again when a write came back. */
  write(): void {
    const { view, executor, mayAct } = this.#options;
    if (!this.#stopped && mayAct()) executor.run(outdated(view, this.#reports));
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #plan(): void {
    if (this.#stopped || this.#timer !== null) return;
    const { clock } = this.#options;
    this.#timer = clock.setTimer(this.#lastMs + CENSUS_EVERY_MS - clock.monotonic(), () => this.#begin());
  }

  #begin(): void {
    this.#timer = null;
    const { view, clock, mayAct } = this.#options;
    this.#lastMs = clock.monotonic();
    // Whoever may act later is poked then.
    if (!mayAct() || view.policies().length === 0) return;
    this.#isCounting = true;
    this.#changedMeanwhile = false;
    this.#count(new PolicyCensus(view));
  }

  #count(census: PolicyCensus): void {
    this.#timer = null;
    if (census.countSome(SLICE_PODS)) {
      this.#timer = this.#options.clock.setTimer(0, () => this.#count(census));
      return;
    }
    this.#isCounting = false;
    this.#reports = census.reports();
    this.#savedJobs = [...census.savedJobs.values()];
    this.write();
    if (this.#changedMeanwhile) this.#plan();
  }
}

/** One write for each policy whose status is not what the census found. A spec that changed meanwhile waits for the next. */
function outdated(view: ClusterView, reports: ReadonlyMap<string, PolicyReport>): readonly Command[] {
  const commands: Command[] = [];
  for (const policy of view.policies()) {
    const report = reports.get(policy.name);
    if (report === undefined || report.observedGeneration !== policy.generation || isReported(policy, report)) continue;
    commands.push({ kind: 'SetPolicyStatus', policy, report });
  }
  return commands;
}

function isReported({ status }: Policy, report: PolicyReport): boolean {
  return status !== null && reportKey(status.report) === reportKey(report);
}

/** Equal for equal reports. */
function reportKey(report: PolicyReport): string {
  const { observedGeneration, accepted, conflicted, restorable, selectedPods, rulingPods, protectedPods } = report;
  const unprotected = [...report.unprotectedPods];
  const findings = [accepted, conflicted, restorable].flatMap(({ holds, reason, message }) => [holds, reason, message]);
  return JSON.stringify([observedGeneration, selectedPods, rulingPods, protectedPods, unprotected, ...findings]);
}
