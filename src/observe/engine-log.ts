import type { Command } from '../engine/commands.ts';
import type { EngineEvents } from '../engine/engine-events.ts';
import type { WebhookReach } from '../domain/webhook-reach.ts';
import type { Log } from './log.ts';

/** One line for each decision, its end, each contradiction and each write: ids, names and counts. */
export function logEngine(events: EngineEvents, log: Log): void {
  events.on('decision:opened', ({ decision }) => {
    const { id, preemptor, node, victims, deadlineMs } = decision;
    log.info(
      {
        decision: id,
        preemptor: `${preemptor.namespace}/${preemptor.name}`,
        node,
        victims: victims.map(({ namespace, name, action }) => `${namespace}/${name}:${action}`),
        deadline: new Date(deadlineMs).toISOString(),
      },
      'decided',
    );
  });
  events.on('decision:closed', ({ decision, because, message }) => {
    log.info({ decision: decision.id, node: decision.node, because, message }, 'decision over');
  });
  events.on('victim:unprotected', ({ victim, policy, reason, message }) => {
    const pod = `${victim.namespace}/${victim.name}`;
    log.warn({ pod, podUid: victim.uid, policy, reason, message }, 'a pod that a policy selects is evicted unsaved');
  });
  events.on('record:contradiction', ({ kind, object, what, resolution }) => {
    log.warn({ kind, ticket: `${object.namespace}/${object.name}`, what, resolution }, 'records contradict each other');
  });
  events.on('command:done', ({ command, outcome, error, tookMs }) => {
    const line = { command: command.kind, about: subjectOf(command), outcome, tookMs };
    if (outcome === 'failed') log.warn({ ...line, err: error }, 'write failed, will be tried again');
    else if (outcome === 'moved') log.debug(line, 'the world moved');
    else log.info(line, 'written');
  });
}

/** What the leader knows of the webhook: at each change, and each minute while pods of controllers are not saved for it. */
export function logReach(log: Log, { isCalled, reason, message, missedIn }: WebhookReach): void {
  const line = { reason, ...(missedIn.size > 0 && { missedIn: [...missedIn] }) };
  if (isCalled && missedIn.size === 0) log.info(line, message);
  else if (isCalled)
    log.warn(line, 'no review in some namespaces: protected pods of controllers there are evicted unsaved');
  else log.warn(line, `${message}: protected pods of controllers are evicted unsaved`);
}

function subjectOf(command: Command): string {
  switch (command.kind) {
    case 'CreateTicket':
      return `${command.order.victim.namespace}/${command.order.name}`;
    case 'CreateCheckpoint':
      return `${command.order.namespace}/${command.order.name}`;
    case 'Evict':
      return `${command.order.victim.namespace}/${command.order.victim.name}`;
    case 'DeleteCheckpoint':
    case 'ReleaseCheckpoint':
      return `${command.checkpoint.namespace}/${command.checkpoint.name}`;
    case 'Nominate':
      return `${command.pod.namespace}/${command.pod.name} to ${command.node ?? 'none'}`;
    case 'Wake':
    case 'EndPod':
    case 'TellHeld':
    case 'Ungate':
      return `${command.pod.namespace}/${command.pod.name}`;
    case 'SetTicketPhase':
      return `${command.ticket.namespace}/${command.ticket.name} ${command.phase}`;
    case 'TellQueued':
      return `${command.pod.namespace}/${command.pod.name} ${command.message}`;
    case 'SetPolicyStatus':
      return command.policy.name;
    case 'AdoptTicket':
    case 'DeleteTicket':
    case 'Claim':
    case 'ClearDecision':
    case 'RecreatePod':
      return `${command.ticket.namespace}/${command.ticket.name}`;
    default:
      return command satisfies never;
  }
}
