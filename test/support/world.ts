import type { NodeName, PodUid } from '../../src/domain/ids.ts';
import { DEFAULT_COST_MODEL } from '../../src/domain/victim-cost.ts';
import type { Pod } from '../../src/domain/pod.ts';
import { aboutCommand } from '../../src/engine/core/commands.ts';
import { DisplacementBook } from '../../src/engine/displace/displacement-book.ts';
import { nextSteps } from '../../src/engine/core/next-steps.ts';
import { RoomMemory } from '../../src/engine/return/room-memory.ts';
import { preempt, type PreemptContext, type PreemptOutcome } from '../../src/engine/preemption/preempt.ts';
import { Asked } from '../../src/engine/guard/asked.ts';
import { Rests } from '../../src/engine/propose/rests.ts';
import { DEFAULT_ENGINE_SETTINGS, type Steps, type World } from '../../src/engine/core/steps.ts';
import { ClusterIndex } from '../../src/index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../../src/index/types.ts';

/** An index and a book of displacements that a test fills by hand, and the engine's pure functions over them. */
export class TestWorld {
  readonly index = new ClusterIndex();
  readonly book = new DisplacementBook();
  nowMs = 10_000;
  /** Long ago. */
  actingSinceMs = -1_000_000;
  podsSinceMs = -1_000_000;
  readonly seen = new Set<PodUid>();
  readonly disrupted = new Set<PodUid>();
  readonly evicted = new Map<PodUid, number>();
  readonly unwanted = new Set<PodUid>();
  readonly freed = new Map<string, number>();
  readonly roomMemory = new RoomMemory();
  readonly rests = new Rests({ monotonic: () => this.nowMs });
  readonly asked = new Asked({ monotonic: () => this.nowMs });
  #version = 100;
  #displacements = 0;

  /** Adds the value, or replaces what has its UID, at the next resourceVersion. */
  put<K extends IndexedKind>(kind: K, ...values: readonly IndexedKinds[K][]): this {
    for (const value of values) {
      const resourceVersion = String(++this.#version);
      this.index.apply({ type: 'upsert', kind, value: { ...value, resourceVersion } } as IndexEvent);
    }
    return this;
  }

  remove(kind: IndexedKind, ...values: readonly { readonly uid: string }[]): this {
    for (const { uid } of values) {
      this.index.apply({ type: 'delete', kind, uid, resourceVersion: String(++this.#version) });
    }
    return this;
  }

  world(): World {
    const {
      index,
      book,
      nowMs,
      actingSinceMs,
      podsSinceMs,
      seen,
      disrupted,
      evicted,
      unwanted,
      freed,
      roomMemory,
      rests,
      asked,
    } = this;
    return {
      view: index,
      book,
      nowMs,
      steadyMs: nowMs,
      actingSinceMs,
      podsSinceMs,
      seen,
      disrupted,
      evicted,
      unwanted,
      freed,
      roomMemory,
      rests,
      asked,
      settings: DEFAULT_ENGINE_SETTINGS,
    };
  }

  steps(): Steps {
    this.book.refresh(this.index);
    return nextSteps(this.world());
  }

  /** `kind subject` of each command, for comparing. */
  commands(): string[] {
    return this.steps().commands.map((command) => {
      return `${command.kind} ${aboutCommand(command).replace(/^[^/ ]*\//, '')}`;
    });
  }

  /** Asks as kube-scheduler does, and records what the answer opens and closes. `offers`: node -> victims. */
  preempt(
    preemptor: Pod,
    offers: Readonly<Record<string, readonly Pod[]>>,
    overrides: Partial<PreemptContext> = {},
  ): PreemptOutcome {
    const outcome = preempt(
      {
        preemptor,
        candidates: Object.entries(offers).map(([node, victims]) => ({
          node: node as NodeName,
          victims: victims.map((victim) => victim.uid),
          numPdbViolations: 0,
        })),
      },
      {
        view: this.index,
        book: this.book,
        nowMs: this.nowMs,
        steadyMs: this.nowMs,
        costs: DEFAULT_COST_MODEL,
        defaultMaxDelayMs: 60_000,
        maxDisplacementsPerHour: 6,
        isRefused: () => false,
        hasFailed: () => false,
        newDisplacementId: () => `d${++this.#displacements}`,
        ...overrides,
      },
    );
    for (const { displacement } of outcome.closed) this.book.close(displacement);
    if (outcome.opened !== null) this.book.open(outcome.opened);
    return outcome;
  }
}

export const uidOf = (name: string): PodUid => `uid-${name}` as PodUid;
