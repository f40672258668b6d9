import { formatBytes } from '../domain/quantity.ts';
import type { Pod } from '../domain/pod.ts';
import type { Decision, Ticket } from '../domain/ticket.ts';
import type { Command } from '../engine/commands.ts';
import type { EngineEvents } from '../engine/engine-events.ts';
import type { ClusterView } from '../index/types.ts';
import { objectKey } from '../domain/ids.ts';
import type { ClusterEventRecord, EventSink, PodRef } from '../ports/cluster-writer.ts';
import { EVENT_REASONS, type EventReason } from './event-reasons.ts';
import { nameOf, namesOf } from './name-list.ts';
import { victimFates } from './victim-fates.ts';

/**
 * Tells the story as Kubernetes Events, on both sides: the victim's name the preemptor and the other way round, so that
 * `kubectl describe` of either pod explains what happened to it.
 */
export function narrate(events: EngineEvents, view: ClusterView, sink: EventSink): void {
  events.on('command:done', ({ command, outcome }) => {
    if (outcome === 'done') narrateCommand(command, view, sink);
  });
  events.on('decision:opened', ({ decision }) => {
    const preemptor = podObject(decision.preemptor);
    say(sink, 'PreemptionHeld', preemptor, heldMessage(decision), onlyVictim(decision));
  });
  events.on('victim:cheaper', ({ victim, preemptor, policy, evictCost, savingCost }) => {
    const costs = `eviction costs ${nodeSeconds(evictCost)}, saving ${nodeSeconds(savingCost)}`;
    const message = `evicted for ${nameOf(preemptor)} without its state: ${costs} (policy ${policy}: Adaptive)`;
    say(sink, 'SavingCostsMore', podObject(victim), message, podObject(preemptor));
  });
  events.on('victim:unprotected', ({ victim, policy, message }) => {
    const why = `evicted without its state: ${message} (policy ${policy} selects it)`;
    say(sink, 'EvictedUnsaved', podObject(victim), why);
  });
  events.on('record:contradiction', ({ object, what, resolution }) => {
    say(sink, 'RecordsConflict', ticketObject(object), `${what}: ${resolution}`);
  });
  events.on('decision:closed', ({ decision, because, message }) => {
    const preemptor = podObject(decision.preemptor);
    if (because === 'Bound') {
      say(sink, 'PreemptionDone', preemptor, doneMessage(view, decision), onlyVictim(decision));
    } else if (because !== 'PreemptorGone') {
      const about = `preemption of ${namesOf(decision.victims)} on ${decision.node} is off`;
      say(sink, 'PreemptionCancelled', preemptor, `${about}: ${message}`, onlyVictim(decision));
    }
  });
}

function nodeSeconds(cost: number): string {
  return `${cost.toPrecision(2)} node-seconds`;
}

function heldMessage({ node, victims }: Decision): string {
  const saved = victims.filter(({ action }) => action !== 'evict');
  const others = victims.filter(({ action }) => action === 'evict');
  const also = others.length > 0 ? `; then evicted unsaved: ${namesOf(others)}` : '';
  return `waits on ${node} until saved: ${namesOf(saved)}${also}`;
}

function doneMessage(view: ClusterView, decision: Decision): string {
  const { saved, unsaved, spared } = victimFates(view, decision);
  const count = `saved ${saved.length} of ${decision.victims.length}`;
  const parts = [`bound to ${decision.node}`, saved.length > 0 ? `${count}: ${namesOf(saved)}` : count];
  if (unsaved.length > 0) parts.push(`evicted unsaved: ${namesOf(unsaved)}`);
  if (spared.length > 0) parts.push(`not evicted: ${namesOf(spared)}`);
  return parts.join('; ');
}

/** An Event relates to one object: the victim where there is only one, while the message names them all. */
function onlyVictim({ victims }: Decision): Subject | undefined {
  const [victim] = victims;
  return victim !== undefined && victims.length === 1 ? podObject(victim) : undefined;
}

function narrateCommand(command: Command, view: ClusterView, sink: EventSink): void {
  switch (command.kind) {
    case 'CreateCheckpoint':
      say(
        sink,
        'Checkpointing',
        podObject(command.order.pod),
        `is being saved for ${nameOf(command.preemptor)}`,
        podObject(command.preemptor),
      );
      return;
    case 'Evict':
      narrateEviction(command, view, sink);
      return;
    case 'DeleteCheckpoint':
      if (command.undo !== null) narrateThaw(command.undo, view, sink);
      return;
    case 'Ungate':
      narrateUngate(command, sink);
      return;
    case 'TellHeld':
      say(sink, 'RestoreHeld', podObject(command.pod), command.ticket.said.message, ticketObject(command.ticket));
      return;
    case 'ClearDecision':
      narrateDecision(command, sink);
      return;
    case 'SetTicketPhase':
      narratePhase(command, view, sink);
      return;
    case 'TellQueued':
      narrateQueued(command, sink);
      return;
    case 'CreateTicket':
    case 'AdoptTicket':
    case 'DeleteTicket':
    case 'ReleaseCheckpoint':
    case 'Nominate':
    case 'Wake':
    case 'RecreatePod':
    case 'EndPod':
    case 'Claim':
      return;
    case 'SetPolicyStatus':
      narrateReport(command, sink);
      return;
    default:
      command satisfies never;
  }
}

function narrateThaw({ victim, because }: Undo, view: ClusterView, sink: EventSink): void {
  // The ticket outlives the checkpoint: it knows for whom the pod was frozen.
  const preemptor = view.ticketOfVictim(victim.uid)?.decision.preemptor;
  say(sink, 'Thawed', podObject(victim), `thawed, and not evicted: ${because}`, preemptor && podObject(preemptor));
}

/** Once: the status that was written says so from then on. */
function narrateReport({ policy, report }: Extract<Command, { kind: 'SetPolicyStatus' }>, sink: EventSink): void {
  const { holds, message } = report.restorable;
  if (holds || policy.status?.report.restorable.holds === false) return;
  const { name, uid } = policy;
  say(sink, 'WebhookNotCalled', { kind: 'ReprievePolicy', namespace: '', name, uid }, message);
}

type Undo = NonNullable<Extract<Command, { kind: 'DeleteCheckpoint' }>['undo']>;

function narrateEviction(command: Extract<Command, { kind: 'Evict' }>, view: ClusterView, sink: EventSink): void {
  const { order, decision, victim, unsaved } = command;
  const preemptor = podObject(decision.preemptor);
  const pod = podObject(order.victim);
  if (unsaved !== null) {
    say(
      sink,
      'EvictedUnsaved',
      pod,
      `evicted for ${nameOf(decision.preemptor)} without its state: ${unsaved}`,
      preemptor,
    );
    say(sink, 'EvictedUnsaved', preemptor, `${nameOf(order.victim)} was evicted without its state: ${unsaved}`, pod);
    return;
  }
  const checkpoint =
    victim.checkpoint === null ? undefined : view.checkpoint(objectKey(victim.namespace, victim.checkpoint));
  const how = checkpoint === undefined ? '' : `, saved as ${checkpoint.name} (${formatBytes(checkpoint.bytes)})`;
  say(sink, 'Displaced', pod, `evicted from ${decision.node} for ${nameOf(decision.preemptor)}${how}`, preemptor);
}

/** Once: later places are told by the condition alone. */
function narrateQueued({ pod, ticket, message }: Extract<Command, { kind: 'TellQueued' }>, sink: EventSink): void {
  if (pod.queuedAs === null) say(sink, 'RestoreQueued', podObject(pod), message, ticketObject(ticket));
}

function narrateUngate({ pod, as, because }: Extract<Command, { kind: 'Ungate' }>, sink: EventSink): void {
  const related = as === null ? undefined : ticketObject(as.ticket);
  switch (because) {
    case 'Admitted':
      say(sink, 'RestoreAdmitted', podObject(pod), 'there is room: it continues where it stopped', related);
      return;
    case 'GateExpired':
      say(
        sink,
        'GateExpired',
        podObject(pod),
        'no room yet: waits as an ordinary pending pod and continues where it lands',
        related,
      );
      return;
    case 'NoMatchingTicket':
      say(sink, 'ColdStarted', podObject(pod), 'nothing was saved that it could continue: starts from the beginning');
      return;
    case 'TicketEnded':
      return; // told when it ended
    default:
      because satisfies never;
  }
}

function narrateDecision({ ticket, refused }: Extract<Command, { kind: 'ClearDecision' }>, sink: EventSink): void {
  if (refused === null) say(sink, 'DecisionTaken', ticketObject(ticket), `reprieve.dev/decide: ${ticket.decide}`);
  else say(sink, 'DecisionRefused', ticketObject(ticket), refused);
}

/** Phases that end a ticket are told on the pod that continues it, and on the ticket itself. */
function narratePhase(command: Extract<Command, { kind: 'SetTicketPhase' }>, view: ClusterView, sink: EventSink): void {
  const { ticket, phase, message, failed } = command;
  const reason = phase === 'Waiting' && failed !== undefined ? 'RestoreRetried' : PHASE_REASONS[phase];
  if (reason === undefined) return;
  say(sink, reason, ticketObject(ticket), message);
  const pod: Pod | undefined = ticket.claim === null ? undefined : view.pod(ticket.claim.uid);
  if (pod !== undefined) say(sink, reason, podObject(pod), message, ticketObject(ticket));
}

const PHASE_REASONS: Partial<Record<Ticket['phase'], EventReason>> = {
  Waiting: 'RestoreQueued',
  Held: 'RestoreHeld',
  Restored: 'Restored',
  ColdStarted: 'ColdStarted',
  Abandoned: 'Abandoned',
};

type Subject = ClusterEventRecord['regarding'];

function say(sink: EventSink, reason: EventReason, regarding: Subject, message: string, related?: Subject): void {
  const { type, action } = EVENT_REASONS[reason];
  sink.emit({ regarding, ...(related && { related }), type, reason, action, message });
}

function podObject(pod: PodRef): Subject {
  return { kind: 'Pod', namespace: pod.namespace, name: pod.name, uid: pod.uid };
}

function ticketObject(ticket: Ticket): Subject {
  return { kind: 'Reprieve', namespace: ticket.namespace, name: ticket.name, uid: ticket.uid };
}
