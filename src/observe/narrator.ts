import { formatBytes } from '../domain/quantity.ts';
import type { Pod } from '../domain/pod.ts';
import { beneficiaryOf, isPreemption, type Displacement, type Preemption } from '../domain/displacement.ts';
import { isFinal, type Ticket } from '../domain/ticket.ts';
import { purposeOf, rulesOf } from '../engine/causes/causes.ts';
import type { Command, CommandKind, CommandOf } from '../engine/core/commands.ts';
import type { EngineEvents } from '../engine/engine-events.ts';
import type { ClusterView } from '../index/types.ts';
import { objectKey, ownerKey } from '../domain/ids.ts';
import type { ClusterEventRecord, EventSink, PodRef, Refusal } from '../ports/cluster-writer.ts';
import { EVENT_REASONS, type EventReason } from './event-reasons.ts';
import { JobWarnings } from './job-warnings.ts';
import { nameOf, namesOf } from './name-list.ts';
import { victimFates } from './victim-fates.ts';

/**
 * Tells the story as Kubernetes Events, on both sides: the victim's name the preemptor and the other way round, so that
 * `kubectl describe` of either pod explains what happened to it.
 */
export function narrate(events: EngineEvents, view: ClusterView, sink: EventSink): void {
  const jobs = new JobWarnings(view);
  events.on('command:done', ({ command, outcome, refusal }) => {
    if (outcome === 'done') narrateCommand(command, sink, view);
    else if (refusal !== null) narrateRefusal(command, refusal, sink);
  });
  events.on('displacement:opened', ({ displacement }) => {
    if (isPreemption(displacement)) {
      const preemptor = podObject(displacement.cause.preemptor);
      say(sink, 'PreemptionHeld', preemptor, heldMessage(displacement), onlyVictim(displacement));
    }
    for (const { victim, message } of jobs.warnings(displacement))
      say(sink, 'JobWouldFail', podObject(victim), message, beneficiaryObject(displacement));
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
  events.on('admission:aside', ({ namespace, owner, message }) => {
    const text = `its pods are refused with the gate and the RuntimeClass of Reprieve, and start cold without both: ${message}`;
    for (const ticket of owner === null ? [] : view.ticketsOfOwner(ownerKey(namespace, owner)))
      if (!isFinal(ticket.phase)) say(sink, 'WriteRefused', ticketObject(ticket), text);
  });
  events.on('record:contradiction', ({ object, what, resolution }) => {
    say(sink, 'RecordsConflict', ticketObject(object), `${what}: ${resolution}`);
  });
  events.on('guard:answered', ({ request, verdict }) => {
    const { by, requester, uid } = request;
    if (!verdict.allowed || verdict.unsaved === undefined) return;
    const pod = uid === null ? view.podNamed(request.namespace, request.name) : { ...request, uid };
    if (pod === undefined) return;
    const done = by === 'Eviction' ? 'evicted' : 'deleted';
    say(sink, 'EvictedUnsaved', podObject(pod), `${done} by ${requester} without its state: ${verdict.unsaved}`);
  });
  events.on('pod:stays', ({ pod, why }) => say(sink, 'NotMoved', podObject(pod), why));
  events.on('displacement:closed', ({ displacement, because, message }) => {
    const whyPodsStay = rulesOf(displacement).say.whyPodsStay({ because, message });
    for (const pod of whyPodsStay === null ? [] : displacement.pods)
      say(sink, 'NotMoved', podObject(pod), `stays on ${pod.node}: ${whyPodsStay}`);
    if (!isPreemption(displacement)) return;
    const preemptor = podObject(displacement.cause.preemptor);
    if (because === 'Bound') {
      say(sink, 'PreemptionDone', preemptor, doneMessage(view, displacement), onlyVictim(displacement));
    } else if (because !== 'PreemptorGone') {
      const about = `preemption of ${namesOf(displacement.pods)} on ${displacement.cause.node} is off`;
      say(sink, 'PreemptionCancelled', preemptor, `${about}: ${message}`, onlyVictim(displacement));
    }
  });
}

function nodeSeconds(cost: number): string {
  return `${cost.toPrecision(2)} node-seconds`;
}

function heldMessage({ cause: { node }, pods }: Preemption): string {
  const saved = pods.filter(({ plan }) => plan !== 'Evict');
  const others = pods.filter(({ plan }) => plan === 'Evict');
  const also = others.length > 0 ? `; then evicted unsaved: ${namesOf(others)}` : '';
  return `waits on ${node} until saved: ${namesOf(saved)}${also}`;
}

function doneMessage(view: ClusterView, displacement: Preemption): string {
  const { saved, unsaved, spared } = victimFates(view, displacement);
  const count = `saved ${saved.length} of ${displacement.pods.length}`;
  const parts = [`bound to ${displacement.cause.node}`, saved.length > 0 ? `${count}: ${namesOf(saved)}` : count];
  if (unsaved.length > 0) parts.push(`evicted unsaved: ${namesOf(unsaved)}`);
  if (spared.length > 0) parts.push(`not evicted: ${namesOf(spared)}`);
  return parts.join('; ');
}

/** An Event relates to one object: the victim where there is only one, while the message names them all. */
function onlyVictim({ pods }: Displacement): Subject | undefined {
  const [victim] = pods;
  return victim !== undefined && pods.length === 1 ? podObject(victim) : undefined;
}

/** Kind of command -> the Events about it; a kind that is not here has none. */
const COMMAND_EVENTS: {
  readonly [Kind in CommandKind]?: (command: CommandOf<Kind>, sink: EventSink, view: ClusterView) => void;
} = {
  CreateCheckpoint: ({ order, displacement }, sink) => {
    const message = `is being saved ${purposeOf(displacement)}`;
    say(sink, 'Checkpointing', podObject(order.pod), message, beneficiaryObject(displacement));
  },
  Evict: narrateEviction,
  ReleaseCheckpoint: narrateRelease,
  Ungate: narrateUngate,
  TellHeld: ({ pod, ticket }, sink) => {
    say(sink, 'RestoreHeld', podObject(pod), ticket.said.message, ticketObject(ticket));
  },
  ClearDecision: narrateDecision,
  SetTicketPhase: narratePhase,
  TellQueued: narrateQueued,
  SetPolicyStatus: narrateReport,
};

function narrateCommand<Kind extends CommandKind>(command: CommandOf<Kind>, sink: EventSink, view: ClusterView): void {
  COMMAND_EVENTS[command.kind]?.(command, sink, view);
}

/** On the pod that cannot be saved, evicted or brought back, and on its ticket. */
function narrateRefusal(command: Command, { reason, message }: Refusal, sink: EventSink): void {
  const text = `${reason}: ${message}`;
  switch (command.kind) {
    case 'CreateTicket':
      say(sink, 'WriteRefused', podObject(command.order.victim), `cannot be saved, its ticket is refused: ${text}`);
      return;
    case 'CreateCheckpoint':
      say(sink, 'WriteRefused', podObject(command.order.pod), `cannot be saved, its PodCheckpoint is refused: ${text}`);
      return;
    case 'ReleaseCheckpoint':
      say(
        sink,
        'WriteRefused',
        podObject(command.victim),
        `stays frozen until thawAt, its release is refused: ${text}`,
      );
      return;
    case 'Evict':
      say(sink, 'WriteRefused', podObject(command.order.victim), `cannot be evicted: ${text}`);
      return;
    case 'RecreatePod':
      say(sink, 'WriteRefused', ticketObject(command.ticket), `the pod cannot be created again: ${text}`);
      return;
    case 'EndPod':
    case 'Ungate': {
      const what = command.kind === 'EndPod' ? 'cannot be replaced' : 'its gate cannot be removed';
      say(sink, 'WriteRefused', podObject(command.pod), `${what}: ${text}`);
      return;
    }
    case 'AdoptTicket':
    case 'SetTicketPhase':
    case 'Claim':
      say(sink, 'WriteRefused', ticketObject(command.ticket), `cannot be changed (${command.kind}): ${text}`);
      return;
    default: // told by the log and the metric alone
  }
}

function narrateRelease({ victim, because }: CommandOf<'ReleaseCheckpoint'>, sink: EventSink, view: ClusterView): void {
  const displacement = view.ticketOfVictim(victim)?.displacement;
  const related = displacement && beneficiaryObject(displacement);
  say(sink, 'Thawed', podObject(victim), `thawed, and not evicted: ${because}`, related);
}

/** Reasons for which the policy's pods, not the webhook, are the cause. */
const ON_PODS: ReadonlySet<string> = new Set(['OutOfScope', 'SuccessorUnknown', 'JobWouldFail', 'NoRuntimeClass']);

/** Once: the status that was written says so from then on. */
function narrateReport({ policy, report }: CommandOf<'SetPolicyStatus'>, sink: EventSink): void {
  const { holds, reason, message } = report.restorable;
  if (holds || policy.status?.report.restorable.reason === reason) return;
  const { name, uid } = policy;
  const event = ON_PODS.has(reason) ? 'NotRestorable' : 'WebhookNotCalled';
  say(sink, event, { kind: 'ReprievePolicy', namespace: '', name, uid }, message);
}

function narrateEviction(command: CommandOf<'Evict'>, sink: EventSink, view: ClusterView): void {
  const { order, displacement, victim, unsaved } = command;
  const beneficiary = beneficiaryObject(displacement);
  const pod = podObject(order.victim);
  const purpose = purposeOf(displacement);
  if (unsaved !== null) {
    say(sink, 'EvictedUnsaved', pod, `evicted ${purpose} without its state: ${unsaved}`, beneficiary);
    const about = `${nameOf(order.victim)} was evicted without its state: ${unsaved}`;
    if (beneficiary !== undefined) say(sink, 'EvictedUnsaved', beneficiary, about, pod);
    return;
  }
  const checkpoint =
    victim.checkpoint === null ? undefined : view.checkpoint(objectKey(victim.namespace, victim.checkpoint));
  const how = checkpoint === undefined ? '' : `, saved as ${checkpoint.name} (${formatBytes(checkpoint.bytes)})`;
  say(sink, 'Displaced', pod, `evicted from ${victim.node} ${purpose}${how}`, beneficiary);
}

/** Once: later places are told by the condition alone. */
function narrateQueued({ pod, ticket, message }: CommandOf<'TellQueued'>, sink: EventSink): void {
  if (pod.queuedAs === null) say(sink, 'RestoreQueued', podObject(pod), message, ticketObject(ticket));
}

function narrateUngate({ pod, as, because }: CommandOf<'Ungate'>, sink: EventSink): void {
  const related = as === null ? undefined : ticketObject(as.ticket);
  switch (because) {
    case 'Admitted':
      say(sink, 'RestoreAdmitted', podObject(pod), 'there is room: it continues where it stopped', related);
      return;
    case 'GateExpired':
      say(sink, 'GateExpired', podObject(pod), gateExpired(as?.placement.anywhere ?? true), related);
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

function gateExpired(anywhere: boolean): string {
  const end = anywhere
    ? 'any node may run it, and it starts cold where its state does not fit'
    : 'only a node that can restore it may run it';
  return `no capacity within restore.maxGate: kube-scheduler places the pod; ${end}`;
}

function narrateDecision({ ticket, refused }: CommandOf<'ClearDecision'>, sink: EventSink): void {
  if (refused === null) say(sink, 'DecisionTaken', ticketObject(ticket), `reprieve.dev/decide: ${ticket.decide}`);
  else say(sink, 'DecisionRefused', ticketObject(ticket), refused);
}

/** Phases that end a ticket are told on the pod that continues it, and on the ticket itself. */
function narratePhase(command: CommandOf<'SetTicketPhase'>, sink: EventSink, view: ClusterView): void {
  const { ticket, phase, message, failed, replaced, claim = ticket.claim } = command;
  const reason = phase === 'Waiting' && (failed ?? replaced) !== undefined ? 'RestoreRetried' : PHASE_REASONS[phase];
  if (reason === undefined) return;
  say(sink, reason, ticketObject(ticket), message);
  const pod: Pod | undefined = claim === null ? undefined : view.podOf({ namespace: ticket.namespace, ...claim });
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

/** The pod that gets the room, on the other side of the story. */
function beneficiaryObject(displacement: Displacement): Subject | undefined {
  const beneficiary = beneficiaryOf(displacement);
  return beneficiary === null ? undefined : podObject(beneficiary);
}

function ticketObject(ticket: Ticket): Subject {
  return { kind: 'Reprieve', namespace: ticket.namespace, name: ticket.name, uid: ticket.uid };
}
