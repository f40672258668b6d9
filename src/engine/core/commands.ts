import { gateKey, nameOf, podKey, row, ticketKey, wake, type CommandRow } from './command-row.ts';
import type { Checkpoint, StateRecord } from '../../domain/checkpoint.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import type { Policy, PolicyReport } from '../../domain/policy.ts';
import type { Displacement, DisplacedPod } from '../../domain/displacement.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type {
  CheckpointOrder,
  ClusterWriter,
  EvictionOrder,
  PhaseChange,
  Placement,
  PodRef,
  QueueReason,
  TicketOrder,
  TicketWord,
  WriteOutcome,
} from '../../ports/cluster-writer.ts';

/** Every kind of command, in one row: a new kind is a row here, and the method of the writer that carries it out. */
const COMMANDS = {
  CreateTicket: row<{ readonly order: TicketOrder }>({
    key: ({ order }) => podKey(order.victim),
    asks: ({ order }) => order.displacement.id,
    about: ({ order }) => `${order.victim.namespace}/${order.name}`,
    carryOut: (writer, { order }) => writer.createTicket(order),
  }),
  DeleteTicket: row<{
    readonly ticket: Ticket;
    readonly because: string;
    /** The victim, for a ticket that goes because the victim runs on. If the victim is gone after all, the ticket brings it back. */
    readonly whileStands: PodRef | null;
  }>({
    // Not while the victim is being evicted: the ticket is what brings the pod back.
    key: ({ ticket }) => podKey(ticket.pod),
    about: ({ ticket }) => nameOf(ticket),
    carryOut: (writer, { ticket, whileStands }) => writer.deleteTicket(ticket, whileStands),
  }),
  AdoptTicket: row<{ readonly ticket: Ticket; readonly displacement: Displacement }>({
    key: ({ ticket }) => podKey(ticket.pod),
    asks: ({ displacement }) => displacement.id,
    about: ({ ticket }) => nameOf(ticket),
    carryOut: (writer, { ticket, displacement }) => writer.adoptTicket(ticket, displacement),
  }),
  CreateCheckpoint: row<{ readonly order: CheckpointOrder; readonly displacement: Displacement }>({
    key: ({ order }) => podKey(order.pod),
    asks: ({ order }) => order.name,
    about: ({ order }) => nameOf(order),
    carryOut: (writer, { order }) => writer.createCheckpoint(order),
  }),
  ReleaseCheckpoint: row<{
    readonly checkpoint: Checkpoint;
    /** The pod that its node thaws for it. */
    readonly victim: Pod;
    readonly because: string;
  }>({
    key: ({ victim }) => podKey(victim),
    about: ({ checkpoint }) => nameOf(checkpoint),
    carryOut: (writer, { checkpoint, victim, because }) => writer.releaseCheckpoint(checkpoint, because, victim),
  }),
  DeleteCheckpoint: row<{ readonly checkpoint: Checkpoint }>({
    key: ({ checkpoint }) => podKey({ uid: checkpoint.podUid }),
    about: ({ checkpoint }) => nameOf(checkpoint),
    carryOut: (writer, { checkpoint }) => writer.deleteCheckpoint(checkpoint),
  }),
  RemoveFinalizer: row<{ readonly checkpoint: Checkpoint }>({
    key: ({ checkpoint }) => podKey({ uid: checkpoint.podUid }),
    about: ({ checkpoint }) => nameOf(checkpoint),
    carryOut: (writer, { checkpoint }) => writer.removeFinalizer(checkpoint),
  }),
  Nominate: row<{ readonly pod: PodRef; readonly node: NodeName | null }>({
    key: ({ pod }) => `nomination:${pod.uid}`,
    asks: ({ node }) => node ?? '',
    about: ({ pod, node }) => `${nameOf(pod)} ${node ?? '-'}`,
    carryOut: (writer, { pod, node }) => writer.nominate(pod, node),
    // Others may undo a nomination at once, which we cannot see: this bounds the quarrel.
    pauseMs: 1_000,
  }),
  Wake: row<{ readonly pod: Pod; readonly node: NodeName }>({
    key: ({ pod }) => `nomination:${pod.uid}`,
    about: ({ pod }) => nameOf(pod),
    carryOut: wake,
    pauseMs: 5_000,
    // A pod that stays unschedulable however often it is woken is left to kube-scheduler's own flush, every five minutes.
    longestPauseMs: 300_000,
  }),
  Evict: row<{
    readonly order: EvictionOrder;
    readonly victim: DisplacedPod;
    readonly displacement: Displacement;
    /** Why a protected victim is evicted without its state; null when it was saved or never protected. */
    readonly unsaved: string | null;
  }>({
    key: ({ order }) => podKey(order.victim),
    about: ({ order, unsaved }) => `${nameOf(order.victim)}${unsaved === null ? '' : ' unsaved'}`,
    carryOut: (writer, { order }) => writer.evict(order),
  }),
  RecreatePod: row<{
    readonly ticket: Ticket;
    /** Without our RuntimeClass and our gate: the pod starts cold. */
    readonly plain: boolean;
    /** The ticket ends soon: it does not rest after what was refused before. */
    readonly last: boolean;
  }>({
    key: ({ ticket }) => ticketKey(ticket),
    asks: ({ plain, last }) => `${plain ? 'plain' : ''}${last ? ' last' : ''}`,
    about: ({ ticket }) => nameOf(ticket),
    carryOut: (writer, { ticket, plain }) => writer.recreatePod(ticket, plain),
  }),
  EndPod: row<{ readonly ticket: Ticket; readonly pod: Pod }>({
    key: ({ pod }) => podKey(pod),
    about: ({ pod }) => nameOf(pod),
    carryOut: (writer, { pod }) => writer.endPod(pod),
  }),
  TellHeld: row<{ readonly ticket: Ticket; readonly pod: Pod }>({
    key: ({ pod }) => gateKey(pod),
    about: ({ pod }) => nameOf(pod),
    carryOut: (writer, { ticket, pod }) => writer.tellHeld(pod, ticket.said.message),
  }),
  ClearDecision: row<{
    readonly ticket: Ticket;
    /** Why the annotation `reprieve.dev/decide` was not acted on; null where it was. */
    readonly refused: string | null;
  }>({
    key: ({ ticket }) => ticketKey(ticket),
    about: ({ ticket, refused }) => `${nameOf(ticket)} ${refused ?? 'taken'}`,
    carryOut: (writer, { ticket }) => writer.clearDecision(ticket),
  }),
  Claim: row<{
    readonly ticket: Ticket;
    readonly pod: Pod | null;
    /** The claim is taken back only if this pod is gone: a pod that is not in the index may exist. */
    readonly whileGone?: PodRef;
    /** Recorded with the claim, for a ticket that does not say it yet. */
    readonly state?: StateRecord;
  }>({
    // By pod, so that no pod takes two tickets; two pods cannot take one, because a claim locks on the ticket's version.
    key: ({ ticket, pod }) => (pod === null ? ticketKey(ticket) : gateKey(pod)),
    asks: ({ pod }) => pod?.uid ?? '',
    about: ({ ticket, pod }) => `${nameOf(ticket)} ${pod?.name ?? '-'}`,
    carryOut: (writer, { ticket, pod, ...terms }) => writer.claim(ticket, pod, terms),
  }),
  Ungate: row<{
    readonly pod: Pod;
    readonly as: { readonly ticket: Ticket; readonly placement: Placement } | null;
    readonly because: UngateReason;
    /** Why its ticket ended, with `TicketEnded`. */
    readonly ended?: string;
  }>({
    key: ({ pod }) => gateKey(pod),
    asks: ({ because }) => because,
    about: ({ pod, because }) => `${nameOf(pod)} ${because}`,
    carryOut: (writer, { pod, as, ended }) => writer.ungate(pod, as, ended ?? null),
  }),
  SetTicketPhase: row<{ readonly ticket: Ticket } & PhaseChange>({
    key: ({ ticket }) => ticketKey(ticket),
    asks: ({ phase }) => phase,
    about: ({ ticket, phase, reason }) => `${nameOf(ticket)} ${phase} ${reason}`,
    carryOut: (writer, change) => writer.setTicketPhase(change.ticket, change),
  }),
  TellTicket: row<{ readonly ticket: Ticket } & TicketWord>({
    key: ({ ticket }) => `told:${ticket.uid}`,
    asks: ({ condition, waitsFor }) => `${condition?.message ?? ''} ${waitsFor ?? ''}`,
    about: ({ ticket, condition, waitsFor }) => `${nameOf(ticket)} ${condition?.reason ?? waitsFor ?? ''}`,
    carryOut: (writer, word) => writer.tellTicket(word.ticket, word),
  }),
  TellQueued: row<{
    readonly ticket: Ticket;
    readonly pod: Pod;
    readonly reason: QueueReason;
    readonly message: string;
  }>({
    key: ({ pod }) => `told:${pod.uid}`,
    asks: ({ message }) => message,
    about: ({ pod, message }) => `${nameOf(pod)} ${message}`,
    carryOut: (writer, { pod, reason, message }) => writer.tellQueued(pod, reason, message),
  }),
  SetPolicyStatus: row<{ readonly policy: Policy; readonly report: PolicyReport }>({
    key: ({ policy }) => `policy:${policy.uid}`,
    asks: ({ report }) => JSON.stringify(report),
    about: ({ policy }) => policy.name,
    carryOut: (writer, { policy, report }) => writer.setPolicyStatus(policy, report),
  }),
};

type ArgsOf<Row> = Row extends CommandRow<infer Args> ? Args : never;

/** The command of one kind: its arguments, as its row has them. */
export type CommandOf<Kind extends CommandKind> = { readonly kind: Kind } & ArgsOf<(typeof COMMANDS)[Kind]>;
export type CommandKind = keyof typeof COMMANDS;

/**
 * One write that brings the cluster nearer to what it should be. `nextSteps` derives commands from the world as it is, so
 * a command that was lost, or carried out twice, is only derived again or no longer.
 */
export type Command = { [Kind in CommandKind]: CommandOf<Kind> }[CommandKind];

type UngateReason =
  /** A node has capacity for it: the pod is placed and restored. */
  | 'Admitted'
  /** It waited `maxGate`: autoscalers must see it. It is still restored where its state fits. */
  | 'GateExpired'
  /** No ticket fits it: it starts cold. */
  | 'NoMatchingTicket'
  /** Its ticket ended before there was room for it: it starts cold. */
  | 'TicketEnded';

/** Commands about one object run one after the other: those with the same key never overlap. */
export function commandKey(command: Command): string {
  return rowOf(command).key(command);
}

/** Equal for commands that ask for the same: deriving one again after it succeeded means that it had no effect. */
export function commandSignature(command: Command): string {
  return `${command.kind} ${rowOf(command).asks?.(command) ?? ''}`;
}

/** The object and what is done to it, for a line of the log. */
export function aboutCommand(command: Command): string {
  return rowOf(command).about(command);
}

/** Where its object is; empty for a policy. */
export function namespaceOf(command: Command): string {
  const [namespace = ''] = aboutCommand(command).split('/', 1);
  return command.kind === 'SetPolicyStatus' ? '' : namespace;
}

/** Of {@link CommandRow}: how long its object rests. */
export function pausesOf(command: Command): { readonly pauseMs: number; readonly longestPauseMs: number | null } {
  const { pauseMs, longestPauseMs } = rowOf(command);
  return { pauseMs: pauseMs ?? 0, longestPauseMs: longestPauseMs ?? null };
}

export function carryOut(writer: ClusterWriter, command: Command): Promise<WriteOutcome> {
  return rowOf(command).carryOut(writer, command);
}

/** The row of a command takes the arguments of its kind, which the compiler cannot follow through the table. */
function rowOf(command: Command): CommandRow<Command> {
  return COMMANDS[command.kind] as CommandRow<Command>;
}
