import { RUNTIME_CLASS } from '../../domain/labels.ts';
import { isTerminal } from '../../domain/pod.ts';
import { ifFound } from '../../kube/api-error.ts';
import { KubeClient } from '../../kube/client.ts';
import { KubeClusterWriter } from '../../kube/cluster-writer.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeTransport } from '../../kube/transport.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import { frozenWithoutAgent, planOf, savedWork, type Action } from './plan.ts';
import { surveyOf, type Marks, type Survey } from './survey.ts';

/** How often the cluster is read again while agents work. */
const LOOK_AGAIN_MS = 1_000;
/** Passes after the agents' time is over; each ends what the one before it made possible. */
const LAST_PASSES = 5;

export interface UninstallOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly dryRun: boolean;
  /** Saved work that no pod continues yet is deleted. Without it nothing is changed where there is any. */
  readonly discard: boolean;
  /** How long agents may take to thaw pods and delete states; then their finalizers are removed. */
  readonly agentTimeoutMs: number;
  readonly tell: (what: Told) => void;
}

/** What happened to one object, or would. */
export interface Told {
  readonly did: 'created' | 'ended' | 'removed' | 'deleted' | 'released' | 'kept' | 'waits';
  readonly object: string;
  readonly detail: string;
}

export interface UninstallEnd {
  /** How many checkpoints hold work that no pod continues yet. Not 0: nothing was changed. */
  readonly saved: number;
  /** What could not be settled. */
  readonly remains: readonly string[];
}

/**
 * Takes everything out of the cluster that needs Reprieve: ends tickets, removes gates, has agents thaw and delete what they
 * hold, and removes every mark on pods and nodes. Repeating it does no harm. CRDs, the webhook and the rest of deploy/ stay.
 */
export async function uninstall(options: UninstallOptions): Promise<UninstallEnd> {
  const { transport, clock, dryRun, discard, agentTimeoutMs, tell } = options;
  const client = new KubeClient(transport);
  let survey = await surveyOf(client);
  const saved = discard ? [] : savedWork(survey);
  for (const { namespace, name, podName, nodeName } of saved) {
    const detail = `the only state of ${podName}, saved on ${nodeName}`;
    tell({ did: 'kept', object: `podcheckpoints/${namespace}/${name}`, detail });
  }
  if (saved.length > 0) return { saved: saved.length, remains: [] };

  const unreadable = survey.unreadable.map((path) => `${path} cannot be read: remove its finalizers by hand`);
  if (dryRun) {
    const { actions, waits } = planOf(survey, false);
    for (const action of actions) tell(toldOf(action));
    tellUsers(survey, tell);
    return { saved: 0, remains: [...waits, ...unreadable] };
  }
  const deadlineMs = clock.monotonic() + agentTimeoutMs;
  const told = new Set<string>();
  const frozen = new Set<string>();
  for (let last = 0; ;) {
    const isOverdue = clock.monotonic() >= deadlineMs;
    const { actions, waits } = planOf(survey, isOverdue);
    for (const action of actions) {
      if (!(await carriedOut(action, client, clock))) continue;
      tell(toldOf(action));
      if (action.kind === 'RemoveFinalizer' && action.frozen !== null) frozen.add(frozenWithoutAgent(action.frozen));
    }
    const isSettled = actions.length === 0 && waits.length === 0;
    if (isSettled || (isOverdue && (actions.length === 0 || ++last === LAST_PASSES))) {
      tellUsers(survey, tell);
      return { saved: 0, remains: [...new Set([...waits, ...frozen, ...actions.map(failed), ...unreadable])] };
    }
    for (const wait of waits.filter((text) => !told.has(text))) {
      told.add(wait);
      tell({ did: 'waits', object: 'for', detail: wait });
    }
    if (actions.length === 0 || isOverdue) await sleep(clock, LOOK_AGAIN_MS);
    survey = await surveyOf(client);
  }
}

function failed(action: Action): string {
  const { object, detail } = toldOf(action);
  return `${object}: ${detail}`;
}

/** False where the object has changed or gone meanwhile; the next pass looks again. */
async function carriedOut(action: Action, client: KubeClient, clock: Clock): Promise<boolean> {
  const nowMs = (): number => clock.now(); // no pod is evicted here
  const serverTime = { earliestMs: nowMs, latestMs: nowMs };
  const writer = new KubeClusterWriter({ client, clock, serverTime, apply: () => undefined });
  switch (action.kind) {
    case 'RecreatePod':
      return (await writer.recreatePod(action.ticket, false)) === 'done';
    case 'EndTicket': {
      const { ticket, phase, reason, message } = action;
      return (await writer.setTicketPhase(ticket, { phase, reason, message })) === 'done';
    }
    case 'ReleaseCheckpoint':
      return (await writer.releaseCheckpoint(action.checkpoint, 'Reprieve is uninstalled', null)) === 'done';
    case 'DeleteCheckpoint':
      return (await writer.deleteCheckpoint(action.checkpoint)) === 'done';
    case 'RemoveFinalizer':
      return (await writer.removeFinalizer(action.checkpoint)) === 'done';
    case 'RemoveGate':
      return (await writer.ungate(action.pod, null)) === 'done';
    case 'CleanPod': {
      const { namespace, name, uid } = action.pod;
      const { conditions } = action.marks;
      let isThere = true;
      if (conditions.length > 0) {
        const removed = conditions.map((type) => ({ type, $patch: 'delete' }));
        const patch = { metadata: { uid }, status: { conditions: removed } };
        const options = { type: 'strategic', subresource: 'status' } as const;
        isThere = (await ifFound(client.patch(RESOURCES.pods, namespace, name, patch, options))) !== null;
      }
      return (
        isThere &&
        (await ifFound(
          client.patch(RESOURCES.pods, namespace, name, without(action.marks, uid), { type: 'merge' }),
        )) !== null
      );
    }
    case 'CleanNode':
      return (
        (await ifFound(client.patch(RESOURCES.nodes, null, action.node, without(action.marks), { type: 'merge' }))) !==
        null
      );
    default:
      return action satisfies never;
  }
}

/** Removes them, of that object only. */
function without({ labels, annotations }: Marks, uid?: string): object {
  const nulls = (names: readonly string[]): object => Object.fromEntries(names.map((name) => [name, null]));
  return { metadata: { ...(uid !== undefined && { uid }), labels: nulls(labels), annotations: nulls(annotations) } };
}

function toldOf(action: Action): Told {
  switch (action.kind) {
    case 'RecreatePod': {
      const { namespace, pod } = action.ticket;
      return { did: 'created', object: `pods/${namespace}/${pod.name}`, detail: 'a bare pod, from its ticket' };
    }
    case 'EndTicket': {
      const { ticket, phase, message } = action;
      return { did: 'ended', object: `reprieves/${ticket.namespace}/${ticket.name}`, detail: `${phase}: ${message}` };
    }
    case 'ReleaseCheckpoint': {
      const { namespace, name, nodeName, podName } = action.checkpoint;
      return {
        did: 'released',
        object: `podcheckpoints/${namespace}/${name}`,
        detail: `the agent of ${nodeName} thaws ${podName}; then it is deleted`,
      };
    }
    case 'DeleteCheckpoint': {
      const { namespace, name, nodeName } = action.checkpoint;
      return {
        did: 'deleted',
        object: `podcheckpoints/${namespace}/${name}`,
        detail: `the agent of ${nodeName} removes its files`,
      };
    }
    case 'RemoveFinalizer': {
      const { namespace, name } = action.checkpoint;
      return {
        did: 'removed',
        object: `podcheckpoints/${namespace}/${name}`,
        detail: `finalizer of the agent, as ${action.because}; files on its disk stay`,
      };
    }
    case 'RemoveGate': {
      const { namespace, name } = action.pod;
      return {
        did: 'removed',
        object: `pods/${namespace}/${name}`,
        detail: 'scheduling gate; the pod starts from the beginning',
      };
    }
    case 'CleanPod': {
      const { namespace, name } = action.pod;
      return { did: 'removed', object: `pods/${namespace}/${name}`, detail: namesIn(action.marks) };
    }
    case 'CleanNode':
      return { did: 'removed', object: `nodes/${action.node}`, detail: namesIn(action.marks) };
    default:
      return action satisfies never;
  }
}

function namesIn({ labels, annotations, conditions }: Marks): string {
  const lists = { label: labels, annotation: annotations, condition: conditions };
  return Object.entries(lists)
    .filter(([, names]) => names.length > 0)
    .map(([what, names]) => `${what}${names.length > 1 ? 's' : ''} ${names.join(', ')}`)
    .join('; ');
}

/** Their containers are started by the wrapper, the next ones of the same pod as well. */
function tellUsers({ pods }: Survey, tell: UninstallOptions['tell']): void {
  for (const { pod } of pods.values()) {
    if (pod.runtimeClassName !== RUNTIME_CLASS || isTerminal(pod)) continue;
    tell({
      did: 'kept',
      object: `pods/${pod.namespace}/${pod.name}`,
      detail: `runs with RuntimeClass ${RUNTIME_CLASS}: replace it before the wrapper leaves ${pod.nodeName ?? 'the nodes'}`,
    });
  }
}
