import type { Checkpoint } from '../../domain/checkpoint.ts';
import type { PodUid } from '../../domain/ids.ts';
import {
  CHECKPOINTABLE_CONDITION,
  DISPLACEMENTS_ANNOTATION,
  EXCLUDED_NODES_ANNOTATION,
  FROZEN_CONDITION,
  ON_FAILURE_ANNOTATION,
  RESTORED_CONDITION,
  ROLE_LABEL,
  RUNTIME_CLASS,
  TICKET_ANNOTATION,
} from '../../domain/labels.ts';
import type { Pod } from '../../domain/pod.ts';
import type { Ticket } from '../../domain/ticket.ts';
import { isGated } from '../../engine/return/claims.ts';
import { ifFound, KubeApiError } from '../../kube/api-error.ts';
import type { KubeClient } from '../../kube/client.ts';
import { crdName } from '../../kube/crd/definition.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import { podOf } from '../../kube/project/pod.ts';
import { ticketOf } from '../../kube/project/ticket.ts';
import { API_GROUP, RESOURCES, type ResourceType } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';

const POD_ANNOTATIONS = [TICKET_ANNOTATION, DISPLACEMENTS_ANNOTATION, ON_FAILURE_ANNOTATION, EXCLUDED_NODES_ANNOTATION];
const POD_LABELS = [ROLE_LABEL];
const POD_CONDITIONS = [FROZEN_CONDITION, RESTORED_CONDITION, CHECKPOINTABLE_CONDITION];

/** What Reprieve wrote into an object that is not its own. */
export interface Marks {
  readonly labels: readonly string[];
  readonly annotations: readonly string[];
  readonly conditions: readonly string[];
}

/** Everything in the cluster that only makes sense while Reprieve runs. */
export interface Survey {
  readonly tickets: readonly Ticket[];
  readonly checkpoints: readonly Checkpoint[];
  /** Pods that Reprieve gated or marked, that run with its RuntimeClass, or that a record names: UID -> pod. */
  readonly pods: ReadonlyMap<PodUid, { readonly pod: Pod; readonly marks: Marks }>;
  readonly nodes: readonly { readonly name: string; readonly marks: Marks }[];
  /** Names of all nodes. */
  readonly nodeNames: ReadonlySet<string>;
  /** Records that cannot be read: another version wrote them, or a hand. */
  readonly unreadable: readonly string[];
}

/** Reads it, page by page: a cluster has 150,000 pods, few of which concern us. */
export async function surveyOf(client: KubeClient): Promise<Survey> {
  const unreadable: string[] = [];
  const read = async <T>(type: ResourceType, project: (object: KubeObject) => T): Promise<T[]> => {
    const values: T[] = [];
    for await (const object of ownObjects(client, type)) {
      try {
        values.push(project(object));
      } catch {
        unreadable.push(`${type.plural}/${object.metadata.namespace}/${object.metadata.name}`);
      }
    }
    return values;
  };
  const tickets = await read(RESOURCES.reprieves, ticketOf);
  const checkpoints = await read(RESOURCES.podCheckpoints, checkpointOf);
  const named = new Set<string>([
    ...tickets.flatMap(({ pod, claim }) => [pod.uid, claim?.uid ?? pod.uid]),
    ...checkpoints.map(({ podUid }) => podUid),
  ]);
  const pods = new Map<PodUid, { readonly pod: Pod; readonly marks: Marks }>();
  for await (const object of client.pages(RESOURCES.pods)) {
    const pod = podOf(object);
    const marks = marksOn(object);
    if (named.has(pod.uid) || isGated(pod) || isMarked(marks) || pod.runtimeClassName === RUNTIME_CLASS)
      pods.set(pod.uid, { pod, marks });
  }
  const nodes: { readonly name: string; readonly marks: Marks }[] = [];
  for await (const { metadata } of client.pages(RESOURCES.nodes)) {
    // Agents write all of their names, those of other versions among them.
    const labels = Object.keys(metadata.labels ?? {}).filter(isOurs);
    const annotations = Object.keys(metadata.annotations ?? {}).filter(isOurs);
    nodes.push({ name: metadata.name, marks: { labels, annotations, conditions: [] } });
  }
  const nodeNames = new Set(nodes.map(({ name }) => name));
  return { tickets, checkpoints, pods, nodes: nodes.filter(({ marks }) => isMarked(marks)), nodeNames, unreadable };
}

/** None where the CRD is gone already. */
async function* ownObjects(client: KubeClient, type: ResourceType): AsyncIterable<KubeObject> {
  try {
    yield* client.pages(type);
  } catch (error) {
    if (!(error instanceof KubeApiError) || error.status !== 404) throw error;
    const crd = await ifFound(client.get(RESOURCES.customResourceDefinitions, null, crdName(type)));
    if (crd !== null) throw error;
  }
}

function marksOn(object: KubeObject): Marks {
  const { labels = {}, annotations = {} } = object.metadata;
  const { conditions = [] } = (object['status'] ?? {}) as {
    readonly conditions?: readonly { readonly type: string }[];
  };
  return {
    labels: POD_LABELS.filter((name) => name in labels),
    annotations: POD_ANNOTATIONS.filter((name) => name in annotations),
    conditions: POD_CONDITIONS.filter((name) => conditions.some(({ type }) => type === name)),
  };
}

function isMarked({ labels, annotations, conditions }: Marks): boolean {
  return labels.length + annotations.length + conditions.length > 0;
}

function isOurs(name: string): boolean {
  return name.startsWith(`${API_GROUP}/`);
}
