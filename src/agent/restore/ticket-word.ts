import { TICKET_ANNOTATION } from '../../domain/labels.ts';
import { makesWay, isFinal } from '../../domain/ticket.ts';
import type { PodUid } from '../../domain/ids.ts';
import { ticketOf } from '../../kube/project/ticket.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { NodeApi } from '../node-api.ts';

/**
 * What a ticket says now of a pod that names it. `ours`: it claims the pod, which may be restored here. `leaves`: a restore of the
 * pod failed, and Reprieve deletes it. `cold`: the ticket ended, or is not this pod's.
 */
export type TicketWord = 'ours' | 'leaves' | 'cold';

/** Read from the API server at each call: the word may change at any moment, and a stale one would make two of one process. */
export async function ticketWord(api: NodeApi, { metadata }: KubeObject, stop: AbortSignal): Promise<TicketWord> {
  const name = metadata.annotations?.[TICKET_ANNOTATION] ?? '';
  const raw = await api.read(RESOURCES.reprieves, metadata.namespace ?? '', name, stop);
  if (raw === null) return 'cold';
  const ticket = ticketOf(raw);
  const uid = metadata.uid as PodUid;
  if (isFinal(ticket.phase)) return 'cold';
  if (makesWay(ticket, uid)) return 'leaves';
  return ticket.claim?.uid === uid ? 'ours' : 'cold';
}
