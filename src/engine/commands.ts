import type { Checkpoint } from '../domain/checkpoint.ts';
import type { NodeName } from '../domain/ids.ts';
import type { Pod } from '../domain/pod.ts';
import type { Policy, PolicyReport } from '../domain/policy.ts';
import type { Decision, PlannedVictim, Ticket } from '../domain/ticket.ts';
import type {
  CheckpointOrder,
  EvictionOrder,
  PhaseChange,
  Placement,
  PodRef,
  QueueReason,
  TicketOrder,
} from '../ports/cluster-writer.ts';

/**
 * One write that brings the cluster nearer to what it should be. `nextSteps` derives commands from the world as it is, so
 * a command that was lost, or carried out twice, is only derived again or no longer.
 */
export type Command =
  | { readonly kind: 'CreateTicket'; readonly order: TicketOrder }
  | {
      readonly kind: 'DeleteTicket';
      readonly ticket: Ticket;
      readonly because: string;
      /** Its victim, where the ticket goes because that goes on: with it gone after all, the ticket is what brings it back. */
      readonly whileStands: PodRef | null;
    }
  | { readonly kind: 'AdoptTicket'; readonly ticket: Ticket; readonly decision: Decision }
  | { readonly kind: 'CreateCheckpoint'; readonly order: CheckpointOrder; readonly preemptor: PodRef }
  | {
      readonly kind: 'DeleteCheckpoint';
      readonly checkpoint: Checkpoint;
      readonly undo: { readonly victim: Pod; readonly because: string } | null;
    }
  | { readonly kind: 'ReleaseCheckpoint'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'Nominate'; readonly pod: PodRef; readonly node: NodeName | null }
  | { readonly kind: 'Wake'; readonly pod: Pod; readonly node: NodeName }
  | {
      readonly kind: 'Evict';
      readonly order: EvictionOrder;
      readonly victim: PlannedVictim;
      readonly decision: Decision;
      /** Why a protected victim goes without its state; null when it was saved or never protected. */
      readonly unsaved: string | null;
    }
  | { readonly kind: 'RecreatePod'; readonly ticket: Ticket }
  | { readonly kind: 'EndPod'; readonly ticket: Ticket; readonly pod: Pod }
  | { readonly kind: 'TellHeld'; readonly ticket: Ticket; readonly pod: Pod }
  | {
      readonly kind: 'ClearDecision';
      readonly ticket: Ticket;
      /** Why the decision was not acted on; null where it was. */
      readonly refused: string | null;
    }
  | {
      readonly kind: 'Claim';
      readonly ticket: Ticket;
      readonly pod: Pod | null;
      /** The pod without which the claim is taken back: not seen is not gone. */
      readonly whileGone?: PodRef;
    }
  | {
      readonly kind: 'Ungate';
      readonly pod: Pod;
      readonly as: { readonly ticket: Ticket; readonly placement: Placement } | null;
      readonly because: UngateReason;
      /** Why its ticket ended, with `TicketEnded`. */
      readonly ended?: string;
    }
  | ({
      readonly kind: 'SetTicketPhase';
      readonly ticket: Ticket;
    } & PhaseChange)
  | {
      readonly kind: 'TellQueued';
      readonly ticket: Ticket;
      readonly pod: Pod;
      readonly reason: QueueReason;
      readonly message: string;
    }
  | { readonly kind: 'SetPolicyStatus'; readonly policy: Policy; readonly report: PolicyReport };

type UngateReason =
  /** There is room: the pod is placed and restored. */
  | 'Admitted'
  /** It waited `maxGate`: autoscalers must see it. It is still restored where it lands. */
  | 'GateExpired'
  /** No ticket fits it: it starts cold. */
  | 'NoMatchingTicket'
  /** Its ticket ended before there was room for it: it starts cold. */
  | 'TicketEnded';

/** Commands about one object run one after the other: those with the same key never overlap. */
export function commandKey(command: Command): string {
  switch (command.kind) {
    case 'CreateTicket':
      return `pod:${command.order.victim.uid}`;
    case 'CreateCheckpoint':
      return `pod:${command.order.pod.uid}`;
    case 'Evict':
      return `pod:${command.order.victim.uid}`;
    case 'DeleteCheckpoint':
    case 'ReleaseCheckpoint':
      return `pod:${command.checkpoint.podUid}`;
    case 'AdoptTicket':
    case 'DeleteTicket':
      // Not while its victim is being evicted: the ticket is what brings the pod back.
      return `pod:${command.ticket.pod.uid}`;
    case 'Claim':
      // By pod, so that no pod takes two tickets; two pods cannot take one, because a claim locks on the ticket's version.
      return command.pod === null ? `ticket:${command.ticket.uid}` : `gate:${command.pod.uid}`;
    case 'SetTicketPhase':
    case 'RecreatePod':
    case 'ClearDecision':
      return `ticket:${command.ticket.uid}`;
    case 'Nominate':
    case 'Wake':
      return `nomination:${command.pod.uid}`;
    case 'EndPod':
      return `pod:${command.pod.uid}`;
    case 'Ungate':
    case 'TellHeld':
      return `gate:${command.pod.uid}`;
    case 'TellQueued':
      return `told:${command.pod.uid}`;
    case 'SetPolicyStatus':
      return `policy:${command.policy.uid}`;
    default:
      return command satisfies never;
  }
}

/** Equal for commands that ask for the same: deriving one again after it succeeded means that it had no effect. */
export function commandSignature(command: Command): string {
  switch (command.kind) {
    case 'SetTicketPhase':
      return `${command.kind} ${command.phase}`;
    case 'Nominate':
      return `${command.kind} ${command.node ?? ''}`;
    case 'Claim':
      return `${command.kind} ${command.pod?.uid ?? ''}`;
    case 'CreateTicket':
      return `${command.kind} ${command.order.decision.id}`;
    case 'AdoptTicket':
      return `${command.kind} ${command.decision.id}`;
    case 'CreateCheckpoint':
      return `${command.kind} ${command.order.name}`;
    case 'TellQueued':
      return `${command.kind} ${command.message}`;
    case 'SetPolicyStatus':
      return `${command.kind} ${JSON.stringify(command.report)}`;
    case 'DeleteTicket':
    case 'DeleteCheckpoint':
    case 'ReleaseCheckpoint':
    case 'Wake':
    case 'Evict':
    case 'RecreatePod':
    case 'EndPod':
    case 'TellHeld':
    case 'ClearDecision':
    case 'Ungate':
      return command.kind;
    default:
      return command satisfies never;
  }
}
