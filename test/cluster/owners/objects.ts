import { TICKET_ANNOTATION } from '../../../src/domain/labels.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import { field } from '../story/history.ts';
import { nameOf } from '../story/seen.ts';
import { pod } from '../story/workloads.ts';
import type { OwnerRow } from './row.ts';

/** What happens, in words -> how it is played, and what must come of it. */
export type Rows = Readonly<Record<string, (row: OwnerRow) => Promise<void>>>;

export const withSpec = (object: object, more: object): object => {
  const { spec } = object as { readonly spec: object };
  return { ...object, spec: { ...spec, ...more } };
};
export const otherTemplate = (cpu = '1'): object => ({
  template: {
    spec: { containers: [{ name: 'main', image: 'registry.example/worker:2', resources: { requests: { cpu } } }] },
  },
});
export const replicas = (count: number): object => ({ spec: { replicas: count } });
export const indexOf = ({ metadata }: KubeObject): unknown =>
  metadata.labels?.['batch.kubernetes.io/job-completion-index'];
export const imageOf = (object: KubeObject): unknown =>
  (field(object, 'spec', 'containers') as readonly { readonly image: string }[])[0]?.image;
export const ticketNameOf = ({ metadata }: KubeObject): unknown => metadata.annotations?.[TICKET_ANNOTATION];

/** A pod of a controller that the row itself plays. */
export function played(row: OwnerRow, owner: KubeObject, metadata: object): object {
  const { apiVersion, kind } = owner as unknown as { readonly apiVersion: string; readonly kind: string };
  const reference = { apiVersion, kind, name: nameOf(owner), uid: owner.metadata.uid, controller: true };
  const made = pod('', row.shape()) as { readonly metadata: object };
  return { ...made, metadata: { ...made.metadata, name: undefined, ...metadata, ownerReferences: [reference] } };
}

export const isOther =
  (uids: readonly unknown[]) =>
  ({ metadata }: KubeObject): boolean =>
    !uids.includes(metadata.uid);
