import type { KubeObject } from '../../../src/kube/transport.ts';
import { condition, field, type Version } from '../../cluster/story/history.ts';
import { isRunning, nameOf, nodeOf, ticketIn } from '../../cluster/story/seen.ts';
import type { NodeBed } from './bed.ts';
import { preemptor } from './keeper.ts';

export interface Victim {
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly ip: string;
}

/** The Ready pod that has this label `app` now; waits for it. */
export async function victimOf(bed: NodeBed, app: string): Promise<Victim> {
  const isIt = ({ metadata }: KubeObject): boolean => metadata.labels?.['app'] === app;
  const { object } = await bed.history.until(
    'Pod',
    `${app} Ready`,
    (pod) => isIt(pod) && condition(pod, 'Ready') === 'True' && pod.metadata.deletionTimestamp === undefined,
  );
  const { name, uid = '' } = object.metadata;
  return { name, uid, node: nodeOf(object) as string, ip: String(field(object, 'status', 'podIP')) };
}

/** Lets a pod of higher priority take the room of a victim; resolves when that one runs. */
export async function displace(bed: NodeBed, victim: Victim): Promise<Version> {
  const name = `serving-${victim.name}`.slice(0, 60);
  await bed.cluster.applyObjects(preemptor(name, victim.node));
  return bed.history.until('Pod', `${name} runs`, (pod) => nameOf(pod) === name && isRunning(pod), 90);
}

/** The pod that continues a victim, once it is Ready and its node said that it was restored. */
export async function restoredFrom(bed: NodeBed, victim: Victim): Promise<Victim> {
  const { object: ticket } = await ticketIn(bed, 'Restored', victim.uid);
  const claim = field(ticket, 'status', 'claim') as { readonly uid: string };
  const { object } = await bed.history.until(
    'Pod',
    `${victim.name} again`,
    (pod) => pod.metadata.uid === claim.uid && condition(pod, 'Ready') === 'True',
  );
  const { name, uid = '' } = object.metadata;
  return { name, uid, node: nodeOf(object) as string, ip: String(field(object, 'status', 'podIP')) };
}

/** All that was ever written about one pod. */
export function versionsOf(bed: NodeBed, uid: string): readonly Version[] {
  return bed.history.of('Pod').filter(({ object }) => object.metadata.uid === uid);
}

/** Ends every workload of namespace `default`, and waits until nothing of it is left, records included. */
export async function clear(bed: NodeBed): Promise<void> {
  await bed.cluster.kubectl('delete', 'jobs,statefulsets,pods', '--all', '--force', '--grace-period=0');
  await bed.cluster.kubectl('delete', 'reprieves,podcheckpoints', '--all');
  await bed.cluster.kubectl('wait', '--for=delete', 'pods,podcheckpoints,reprieves', '--all', '--timeout=60s');
}
