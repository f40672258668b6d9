import { beneficiaryOf, type DisplacedPod, type Displacement } from '../domain/displacement.ts';
import type { PodUid } from '../domain/ids.ts';
import { isFinal, type Ticket, type TicketPhase } from '../domain/ticket.ts';
import type { CostModel } from '../domain/victim-cost.ts';
import type { ClusterView } from '../index/types.ts';
import { replicasBehind } from './displace/barrier.ts';
import type { DisplacementBook } from './displace/displacement-book.ts';
import { deadlineOf } from './displace/displacement-terms.ts';
import type { Executor } from './core/executor.ts';
import { frozenPods, type FrozenCause } from './displace/frozen-pods.ts';
import type { Reconciler } from './core/reconciler.ts';
import { Steps, type EngineSettings, type World } from './core/steps.ts';
import { victimState, type VictimState } from './displace/victim-state.ts';
import { obstaclesInQueue, waitsFor, type NodeObstacles } from './return/waiting-cause.ts';

/** Longest list of tickets in one dump. */
const MAX_TICKETS = 500;
/** Tickets that are compared with every node. */
const MAX_EXPLAINED = 20;

/** Where the engine stands, for `/debug/state`: names, counts and ages in seconds; no contents of pods. */
export interface EngineState {
  readonly leads: boolean;
  readonly mayAct: boolean;
  readonly displacements: readonly DisplacementState[];
  /** Preemptors that were turned away with nothing recorded, and are woken when they may be answered otherwise. */
  readonly held: readonly {
    readonly preemptor: string;
    readonly nodes: readonly string[];
    readonly until: string;
    readonly age: number;
  }[];
  /** Nodes that are not chosen again for a preemptor for a while, because saving failed there. */
  readonly refused: readonly { readonly preemptor: string; readonly node: string; readonly left: number }[];
  readonly tickets: {
    readonly byPhase: Readonly<Partial<Record<TicketPhase, number>>>;
    readonly open: readonly TicketState[];
    /** Open tickets that are not listed. */
    readonly more: number;
  };
  readonly frozen: readonly {
    readonly pod: string;
    readonly node: string;
    readonly checkpoint: string;
    readonly cause: FrozenCause;
    readonly age: number;
  }[];
  readonly inFlight: readonly { readonly about: string; readonly command: string; readonly age: number }[];
  /** Objects that are left alone after a failure, or after a write that changed nothing. */
  readonly resting: readonly { readonly about: string; readonly failures: number; readonly left: number }[];
  readonly settings: EngineSettings;
  readonly costs: CostModel;
  readonly onUnsynced: string;
}

interface DisplacementState {
  readonly id: string;
  readonly cause: string;
  /** The pod that gets the room, and its priority; null where the cause has none. */
  readonly beneficiary: { readonly pod: string; readonly priority: number } | null;
  readonly age: number;
  /** Until saving must be done; negative after it. */
  readonly left: number;
  /** Replicas of the webhook that have not published that they have seen the tickets. */
  readonly behind: readonly string[];
  readonly pods: readonly {
    readonly pod: string;
    readonly node: string;
    readonly plan: string;
    readonly state: VictimState['kind'];
    readonly waitsFor: string | null;
  }[];
}

interface TicketState {
  readonly ticket: string;
  readonly phase: TicketPhase;
  readonly age: number;
  readonly priority: number;
  readonly pod: string | null;
  readonly attempts: number;
  readonly waitsFor: string;
  /** For the first of the queue: how many nodes stand in the way, and why. */
  readonly nodes?: NodeObstacles;
}

export interface EngineParts {
  readonly view: ClusterView;
  readonly book: DisplacementBook;
  readonly reconciler: Reconciler;
  readonly executor: Executor;
  readonly nowMs: number;
  readonly steadyMs: number;
  readonly settings: EngineSettings;
  readonly costs: CostModel;
  readonly onUnsynced: string;
  readonly leads: boolean;
  readonly mayAct: boolean;
}

export function describeEngine(parts: EngineParts): EngineState {
  const { view, book, reconciler, executor, steadyMs, nowMs, settings, costs, onUnsynced, leads, mayAct } = parts;
  const since = (ms: number): number => (nowMs - ms) / 1000;
  const sinceSteady = (ms: number): number => (steadyMs - ms) / 1000;
  const podName = (uid: string): string => {
    const pod = view.pod(uid as PodUid);
    return pod === undefined ? uid : nameOf(pod);
  };
  return {
    leads,
    mayAct,
    displacements: [...book.all()].map((displacement) => describeDisplacement(reconciler.world(), displacement)),
    held: reconciler.wakes.held().map(({ preemptor, nodes, until, sinceMs }) => {
      return { preemptor: podName(preemptor), nodes, until: UNTIL[until], age: sinceSteady(sinceMs) };
    }),
    refused: reconciler.wakes.refused().map(({ preemptor, node, untilMs }) => {
      return { preemptor: podName(preemptor), node, left: -sinceSteady(untilMs) };
    }),
    tickets: describeTickets(view, settings, nowMs),
    frozen: [...frozenPods(view)].map(({ pod, checkpoint, cause, sinceMs }) => {
      return { pod: nameOf(pod), node: checkpoint.nodeName, checkpoint: checkpoint.name, cause, age: since(sinceMs) };
    }),
    inFlight: executor
      .inFlight()
      .map(({ key, kind, sinceMs }) => ({ about: key, command: kind, age: sinceSteady(sinceMs) })),
    resting: executor
      .resting()
      .map(({ key, failures, untilMs }) => ({ about: key, failures, left: -sinceSteady(untilMs) })),
    settings,
    costs,
    onUnsynced,
  };
}

const UNTIL = {
  now: 'this process may act',
  nodeFree: 'one of the nodes may be chosen again',
} as const;

function describeDisplacement(world: World, displacement: Displacement): DisplacementState {
  const { view, nowMs } = world;
  const { id, cause, decidedMs, pods } = displacement;
  const beneficiary = beneficiaryOf(displacement);
  const deadlineMs = deadlineOf(view, displacement);
  const look = { deadlineMs, steps: new Steps() };
  const tickets = pods.flatMap((pod) => view.ticketOfVictim(pod) ?? []);
  return {
    id,
    cause: cause.kind,
    beneficiary: beneficiary === null ? null : { pod: nameOf(beneficiary), priority: beneficiary.priority },
    age: (nowMs - decidedMs) / 1000,
    left: (deadlineMs - nowMs) / 1000,
    behind: replicasBehind(view, tickets),
    pods: pods.map((victim) => describeVictim(victim, victimState(world, displacement, victim, look))),
  };
}

function describeVictim(victim: DisplacedPod, state: VictimState): DisplacementState['pods'][number] {
  return { pod: nameOf(victim), node: victim.node, plan: victim.plan, state: state.kind, waitsFor: missingFrom(state) };
}

function missingFrom(state: VictimState): string | null {
  switch (state.kind) {
    case 'unfinished':
      return state.next === null ? 'its node' : state.next.kind;
    case 'terminating':
      return 'its node';
    case 'ready':
      return 'the other victims, or Evict';
    case 'failed':
      return `Evict (${state.reason}: ${state.message})`;
    case 'gone':
      return null;
    default:
      return state satisfies never;
  }
}

function describeTickets(view: ClusterView, settings: EngineSettings, nowMs: number): EngineState['tickets'] {
  const byPhase: Partial<Record<TicketPhase, number>> = {};
  const open: Ticket[] = [];
  for (const ticket of view.tickets()) {
    byPhase[ticket.phase] = (byPhase[ticket.phase] ?? 0) + 1;
    if (!isFinal(ticket.phase)) open.push(ticket);
  }
  const obstacles = obstaclesInQueue(view, settings.maxConcurrentRestoresPerNode, MAX_EXPLAINED);
  open.sort((a, b) => b.priority - a.priority || a.phaseMs - b.phaseMs);
  const listed = open.slice(0, MAX_TICKETS).map((ticket): TicketState => {
    const nodes = obstacles.get(ticket.uid);
    return {
      ticket: nameOf(ticket),
      phase: ticket.phase,
      age: (nowMs - ticket.phaseMs) / 1000,
      priority: ticket.priority,
      pod: ticket.claim?.name ?? null,
      attempts: ticket.attempts,
      waitsFor: waitsFor(view, ticket),
      ...(nodes !== undefined && { nodes }),
    };
  });
  return { byPhase, open: listed, more: open.length - listed.length };
}

function nameOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}
