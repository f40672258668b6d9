import type { ResourceType } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { isRecord, textAt } from './json.ts';
import { badRequest } from './status-error.ts';

/** One term of a field selector. */
export interface FieldRequirement {
  readonly path: readonly string[];
  readonly value: string;
  readonly negated: boolean;
}

const METADATA = new Set(['metadata.name', 'metadata.namespace']);

/** The fields that a kind can be selected by; the real server refuses all others with 400. */
const SELECTABLE: Readonly<Record<string, readonly string[]>> = {
  pods: [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  events: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'type',
    'reportingComponent',
    'source',
  ],
  nodes: ['spec.unschedulable'],
  namespaces: ['status.phase'],
  podcheckpoints: ['spec.node', 'spec.nodeName'], // `selectableFields` of its CRD
  jobs: ['status.successful'],
  replicasets: ['status.replicas'],
};

export function parseFieldSelector(text: string, type: ResourceType): readonly FieldRequirement[] {
  if (text.trim() === '') return [];
  return text.split(',').map((term) => {
    const match = /^\s*([^=!\s]+)\s*(!=|==|=)\s*(.*?)\s*$/.exec(term);
    if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
    const [, field = '', operator, value = ''] = match;
    if (!METADATA.has(field) && !SELECTABLE[type.plural]?.includes(field)) {
      throw badRequest(
        `Unable to find "${type.group}/${type.version}, Resource=${type.plural}" that match field selector "${text}": field label not supported: ${field}`,
      );
    }
    return { path: field.split('.'), value, negated: operator === '!=' };
  });
}

export function matchesFields(requirements: readonly FieldRequirement[], object: KubeObject): boolean {
  for (const { path, value, negated } of requirements) {
    if ((fieldOf(object, path) === value) === negated) return false;
  }
  return true;
}

function fieldOf(object: KubeObject, path: readonly string[]): string {
  let value: unknown = object;
  for (const part of path) value = isRecord(value) ? value[part] : undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (path[0] === 'spec' && path[1] === 'unschedulable') return 'false';
  if (path[0] !== 'source') return '';
  return textAt(value, 'component') || textAt(object, 'reportingComponent');
}
