import { beneficiaryOf, nodesOf } from '../domain/displacement.ts';
import { RUNTIME_CLASS } from '../domain/labels.ts';
import { aboutCommand } from '../engine/core/commands.ts';
import type { EngineEvents } from '../engine/engine-events.ts';
import type { WebhookReach } from '../domain/webhook-reach.ts';
import type { SignerNotice } from '../kube/certificates/agent-signer.ts';
import type { Log } from './log.ts';
import { nameOf } from './name-list.ts';

/** One line for each displacement, its end, each contradiction and each write: ids, names and counts. */
export function logEngine(events: EngineEvents, log: Log): void {
  events.on('displacement:opened', ({ displacement }) => {
    const { id, cause, pods, deadlineMs } = displacement;
    const beneficiary = beneficiaryOf(displacement);
    log.info(
      {
        displacement: id,
        cause: cause.kind,
        ...(beneficiary && { beneficiary: nameOf(beneficiary) }),
        nodes: [...nodesOf(displacement)],
        pods: pods.map((pod) => `${nameOf(pod)}:${pod.plan}`),
        deadline: new Date(deadlineMs).toISOString(),
      },
      'decided',
    );
  });
  events.on('displacement:closed', ({ displacement, because, message }) => {
    log.info(
      { displacement: displacement.id, nodes: [...nodesOf(displacement)], because, message },
      'displacement over',
    );
  });
  events.on('pause:changed', ({ why }) => {
    if (why === null) log.info('operators have ended the pause: pods are saved again');
    else log.warn({ why }, 'operators have paused Reprieve: no pod is saved, and frozen pods are thawed');
  });
  events.on('victim:unprotected', ({ victim, policy, reason, message }) => {
    const pod = `${victim.namespace}/${victim.name}`;
    log.warn({ pod, podUid: victim.uid, policy, reason, message }, 'a pod that a policy selects is evicted unsaved');
  });
  events.on('record:contradiction', ({ kind, object, what, resolution }) => {
    log.warn({ kind, ticket: `${object.namespace}/${object.name}`, what, resolution }, 'records contradict each other');
  });
  events.on('admission:aside', ({ namespace, owner, message }) => {
    const line = { namespace, owner: owner?.name, ownerUid: owner?.uid, refusal: message };
    log.warn(line, 'the API server refuses the pods of a controller with our gate and RuntimeClass: they start cold');
  });
  events.on('command:done', ({ command, outcome, error, refusal, tookMs, restMs }) => {
    const line = { command: command.kind, about: aboutCommand(command), outcome, tookMs };
    if (outcome === 'failed') log.warn({ ...line, err: error }, 'write failed, will be tried again');
    else if (outcome === 'refused')
      log.warn({ ...line, reason: refusal?.reason, err: error, againInMs: restMs }, 'the API server refuses a write');
    else if (outcome === 'moved') log.debug(line, 'the world moved');
    else log.info(line, 'written');
  });
}

/** At the start, and at each change. */
export function logRuntimeClass(log: Log, exists: boolean): void {
  const runtimeClass = RUNTIME_CLASS;
  if (exists) log.info({ runtimeClass }, 'the RuntimeClass of restored pods exists');
  else
    log.error(
      { runtimeClass },
      'the RuntimeClass of restored pods is missing, and displaced pods start cold; run: kubectl apply -f deploy/runtimeclass.yaml',
    );
}

/** What the leader knows of the webhook: at each change, and each minute while pods of controllers are not saved for it. */
export function logReach(log: Log, { isCalled, reason, message, missedIn }: WebhookReach): void {
  const line = { reason, ...(missedIn.size > 0 && { missedIn: [...missedIn] }) };
  if (isCalled && missedIn.size === 0) log.info(line, message);
  else if (isCalled)
    log.warn(line, 'no review in some namespaces: protected pods of controllers there are evicted unsaved');
  else log.warn(line, `${message}: protected pods of controllers are evicted unsaved`);
}

/** Certificates by which agents know each other. */
export function logSigner(log: Log, { kind, ...notice }: SignerNotice): void {
  if (kind === 'signed') log.info(notice, 'an agent was given a certificate for its node');
  else if (kind === 'refused') log.warn(notice, 'a request for the certificate of an agent was refused');
  else if (kind === 'authority') log.info(notice, 'the authority of the agents has changed');
  else log.warn(notice, 'a request for the certificate of an agent could not be answered; it is tried again');
}
