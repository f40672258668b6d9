import { FROZEN_CONDITION, RESTORE_GATE, TICKET_ANNOTATION } from '../../../src/domain/labels.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import { condition, field, type History, type Version } from './history.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';

/** What tests look for in objects, and wait for in the history of a lab, or of a bed of real nodes. */
interface Seen {
  readonly history: History;
  readonly cluster: Pick<ControlPlane, 'kubectl'>;
}

export const nameOf = ({ metadata }: KubeObject): string => metadata.name;
export const nodeOf = (object: KubeObject): string | undefined =>
  field(object, 'spec', 'nodeName') as string | undefined;
export const phaseOf = (object: KubeObject): unknown => field(object, 'status', 'phase');
export const isRunning = (object: KubeObject): boolean => phaseOf(object) === 'Running';
export const isGated = (object: KubeObject): boolean =>
  ((field(object, 'spec', 'schedulingGates') ?? []) as readonly { readonly name: string }[]).some(
    ({ name }) => name === RESTORE_GATE,
  );
export const victimUidOf = (record: KubeObject): unknown => field(record, 'spec', 'pod', 'uid');
/** Seconds of work, as the simulated kubelet last wrote it. */
export const progressOf = ({ metadata }: KubeObject): number =>
  Number(metadata.annotations?.['sim.reprieve.dev/progress']);

export interface RunningPod {
  readonly name: string;
  readonly uid: string;
  readonly node: string;
}

/** The first running pod that passes, by default the one of that name. */
export async function running(
  lab: Seen,
  name: string,
  passes: (object: KubeObject) => boolean = (object) => nameOf(object) === name,
): Promise<RunningPod> {
  const isIt = (candidate: KubeObject): boolean => isRunning(candidate) && passes(candidate);
  const { object } = await lab.history.until('Pod', `${name} running`, isIt);
  return { name: nameOf(object), uid: object.metadata.uid as string, node: nodeOf(object) as string };
}

/** The version in which a pod first had a node. */
export function bound(lab: Seen, name: string): Promise<Version> {
  return lab.history.until('Pod', `${name} bound`, (object) => nameOf(object) === name && nodeOf(object) !== undefined);
}

/** A condition with its words; undefined where there is none. */
export function conditionIn(
  object: KubeObject,
  type: string,
): { readonly status: string; readonly reason?: string; readonly message?: string } | undefined {
  const conditions = field(object, 'status', 'conditions') as
    | readonly { readonly type: string; readonly status: string; readonly reason?: string; readonly message?: string }[]
    | undefined;
  return conditions?.find((candidate) => candidate.type === type);
}

/** The ticket of a victim, once it is in `phase`. */
export function ticketIn(lab: Seen, phase: string, podUid: string): Promise<Version> {
  return lab.history.until(
    'Reprieve',
    `${phase} for ${podUid}`,
    (ticket) => phaseOf(ticket) === phase && victimUidOf(ticket) === podUid,
  );
}

/** The order to save a pod. */
export function ordered(lab: Seen, podUid: string): Promise<Version> {
  return lab.history.until('PodCheckpoint', `an order for ${podUid}`, (object) => victimUidOf(object) === podUid);
}

/** All that was ever written about one pod, by UID. */
function versionsOf(lab: Seen, podUid: string): readonly Version[] {
  return lab.history.of('Pod').filter(({ object }) => object.metadata.uid === podUid);
}

export const wasEvicted = (lab: Seen, podUid: string): boolean =>
  versionsOf(lab, podUid).some(({ object }) => object.metadata.deletionTimestamp !== undefined);

/** Whether the pod was marked as displaced by the scheduler: by us, or by kube-scheduler itself. */
export const wasMarked = (lab: Seen, podUid: string): boolean =>
  versionsOf(lab, podUid).some(({ object }) => condition(object, 'DisruptionTarget') === 'True');

/** The pod that goes on with the work of a victim, in the version in which it first ran; waits for it. */
export async function resumed(lab: Seen, victimUid: string): Promise<Version> {
  const { object: ticket } = await ticketIn(lab, 'Restored', victimUid);
  const claim = field(ticket, 'status', 'claim') as { readonly uid: string };
  return lab.history.until(
    'Pod',
    `the one that continues ${victimUid}`,
    (object) =>
      object.metadata.uid === claim.uid &&
      isRunning(object) &&
      object.metadata.annotations?.[TICKET_ANNOTATION] === nameOf(ticket),
  );
}

/** Seconds of its work that a victim had when it was frozen, and that the pod which continues it began without; waits for both. */
export async function workLost(lab: Seen, victimUid: string): Promise<number> {
  const goesOn = await resumed(lab, victimUid);
  const frozen = versionsOf(lab, victimUid).findLast(({ object }) => condition(object, FROZEN_CONDITION) === 'True');
  if (frozen === undefined) throw new Error(`pod ${victimUid} was never frozen`);
  return progressOf(frozen.object) - progressOf(goesOn.object);
}

/** Reasons of our Events about an object, oldest first. */
export async function eventsAbout(lab: Seen, name: string): Promise<readonly string[]> {
  const { items } = JSON.parse(await lab.cluster.kubectl('get', 'events', '-A', '-o', 'json')) as {
    items: { reason: string; involvedObject: { name: string }; reportingComponent: string }[];
  };
  return items
    .filter(
      ({ reportingComponent, involvedObject }) => reportingComponent === 'reprieve' && involvedObject.name === name,
    )
    .map(({ reason }) => reason);
}

/** Who was ever deleted or marked for it, of these. */
export const evictedOf = (lab: Seen, pods: readonly RunningPod[]): readonly string[] =>
  pods.filter(({ uid }) => wasEvicted(lab, uid)).map(({ name }) => name);
