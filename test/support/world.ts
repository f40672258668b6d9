import type { NodeName, PodUid } from '../../src/domain/ids.ts';
import { DEFAULT_COST_MODEL } from '../../src/domain/victim-cost.ts';
import type { Pod } from '../../src/domain/pod.ts';
import { DecisionBook } from '../../src/engine/decision-book.ts';
import { nextSteps } from '../../src/engine/next-steps.ts';
import { preempt, type PreemptContext, type PreemptOutcome } from '../../src/engine/preempt.ts';
import { DEFAULT_ENGINE_SETTINGS, type Steps } from '../../src/engine/steps.ts';
import { ClusterIndex } from '../../src/index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../../src/index/types.ts';

/** An index and a book of decisions that a test fills by hand, and the engine's pure functions over them. */
export class TestWorld {
  readonly index = new ClusterIndex();
  readonly book = new DecisionBook();
  nowMs = 10_000;
  /** Long ago. */
  actingSinceMs = -1_000_000;
  readonly seen = new Set<PodUid>();
  readonly preempted = new Set<PodUid>();
  readonly freed = new Map<string, number>();
  #version = 100;
  #decisions = 0;

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

  steps(): Steps {
    this.book.refresh(this.index);
    const { index, book, nowMs, actingSinceMs, seen, preempted, freed } = this;
    return nextSteps({
      view: index,
      book,
      nowMs,
      steadyMs: nowMs,
      actingSinceMs,
      seen,
      preempted,
      freed,
      settings: DEFAULT_ENGINE_SETTINGS,
    });
  }

  /** `kind subject` of each command, for comparing. */
  commands(): string[] {
    return this.steps().commands.map((command) => {
      switch (command.kind) {
        case 'CreateTicket':
          return `CreateTicket ${command.order.name}`;
        case 'CreateCheckpoint':
          return `CreateCheckpoint ${command.order.name}`;
        case 'Evict':
          return `Evict ${command.order.victim.name}${command.unsaved === null ? '' : ' unsaved'}`;
        case 'DeleteCheckpoint':
        case 'ReleaseCheckpoint':
          return `${command.kind} ${command.checkpoint.name}`;
        case 'Nominate':
          return `Nominate ${command.pod.name} ${command.node ?? '-'}`;
        case 'Wake':
          return `Wake ${command.pod.name}`;
        case 'Claim':
          return `Claim ${command.ticket.name} ${command.pod?.name ?? '-'}`;
        case 'Ungate':
          return `Ungate ${command.pod.name} ${command.because}`;
        case 'SetTicketPhase':
          return `SetTicketPhase ${command.ticket.name} ${command.phase} ${command.reason}`;
        case 'TellQueued':
          return `TellQueued ${command.pod.name} ${command.message}`;
        case 'SetPolicyStatus':
          return `SetPolicyStatus ${command.policy.name}`;
        case 'EndPod':
        case 'TellHeld':
          return `${command.kind} ${command.pod.name}`;
        case 'ClearDecision':
          return `ClearDecision ${command.ticket.name} ${command.refused ?? 'taken'}`;
        case 'AdoptTicket':
        case 'DeleteTicket':
        case 'RecreatePod':
          return `${command.kind} ${command.ticket.name}`;
        default:
          return command satisfies never;
      }
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
        isRefused: () => false,
        newDecisionId: () => `d${++this.#decisions}`,
        ...overrides,
      },
    );
    for (const decision of outcome.closed) this.book.close(decision);
    if (outcome.opened !== null) this.book.open(outcome.opened);
    return outcome;
  }
}

export const uidOf = (name: string): PodUid => `uid-${name}` as PodUid;
