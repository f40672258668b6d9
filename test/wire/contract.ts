import type { ExtenderVerb } from '../../src/http/extender-handler.ts';

/** A call and what came back. */
export interface Exchange {
  readonly verb: ExtenderVerb;
  readonly requestBody: string | Buffer;
  readonly status: number;
  readonly body: string;
  readonly contentType: string;
}

/** What is true of the cluster, by whatever the callbacks under test stand on. */
export interface KnownCluster {
  /** Whether that pod holds room on that node now. */
  readonly isOn: (node: string, podUid: string) => boolean;
  readonly priorityOf: (podUid: string) => number;
}

type Json = Readonly<Record<string, unknown>>;

/** No error of ours is longer; a longer one would be quoting the body. */
const MAX_MESSAGE_LENGTH = 300;

/**
 * Everything in which an exchange breaks what kube-scheduler relies on (extender.go and the effects recorded in
 * test/fixtures/wire/README.md); empty when it is right. Written from the protocol, not from our code: it parses both
 * bodies by itself. A 400 is right when the request is not one; whether it should have been is for the caller to say.
 */
export function violations(exchange: Exchange, cluster: KnownCluster): string[] {
  const { status, body, contentType, verb } = exchange;
  if (contentType !== 'application/json') return [`content type ${contentType}`];
  if (status === 400) return errorViolations(body);
  // kube-scheduler takes 201 and 204 for failures as well.
  if (status !== 200) return [`status ${status}`];
  const answer: unknown = JSON.parse(body);
  const nulls = findNulls(answer, '$');
  if (nulls.length > 0) return nulls;
  const request = JSON.parse(exchange.requestBody.toString()) as Json;
  switch (verb) {
    case 'filter':
      return filterViolations(request, answer as Json);
    case 'prioritize':
      return prioritizeViolations(request, answer);
    case 'preempt':
      return preemptViolations(answer as Json, cluster);
    default:
      return verb satisfies never;
  }
}

function errorViolations(body: string): string[] {
  const { code, message, ...rest } = JSON.parse(body) as Json;
  const found: string[] = [];
  if (code !== 'MalformedBody') found.push(`error code ${String(code)}`);
  if (Object.keys(rest).length > 0) found.push(`error with ${Object.keys(rest).join()}`);
  const isSentence = typeof message === 'string' && /^\S+: expected .+, found .+$/.test(message);
  if (!isSentence || message.length > MAX_MESSAGE_LENGTH) found.push(`error message ${String(message).slice(0, 400)}`);
  return found;
}

function findNulls(value: unknown, path: string): string[] {
  if (value === null) return [`null at ${path}`];
  if (typeof value !== 'object') return [];
  return Object.entries(value as Json).flatMap(([key, member]) => findNulls(member, `${path}.${key}`));
}

function filterViolations(request: Json, answer: Json): string[] {
  const found = keyViolations(answer, ['Nodes', 'NodeNames', 'FailedNodes', 'FailedAndUnresolvableNodes', 'Error']);
  if (answer['Error'] !== '') found.push(`Error ${JSON.stringify(answer['Error'])}`);
  const asked = askedNodes(request);
  const passed = Array.isArray(answer['NodeNames']) ? (answer['NodeNames'] as unknown[]) : itemNames(answer['Nodes']);
  if (passed === null) return [...found, 'neither NodeNames nor Nodes: kube-scheduler would reject all nodes'];
  if (Array.isArray(request['NodeNames']) !== Array.isArray(answer['NodeNames']) && request['Nodes']) {
    found.push('answered with names where nodes were asked, or the other way round');
  }
  const failed = ['FailedNodes', 'FailedAndUnresolvableNodes'].flatMap((field) => {
    const reasons = Object.entries((answer[field] ?? {}) as Json);
    for (const [node, reason] of reasons)
      if (typeof reason !== 'string' || reason === '') found.push(`reason of ${node}`);
    return reasons.map(([node]) => node);
  });
  for (const node of [...passed, ...failed])
    if (!asked.includes(node)) found.push(`node ${String(node)} was not asked for`);
  for (const node of asked) {
    if (passed.includes(node) === failed.includes(String(node))) found.push(`node ${String(node)} not exactly once`);
  }
  return found;
}

function prioritizeViolations(request: Json, answer: unknown): string[] {
  if (!Array.isArray(answer)) return ['not an array'];
  const asked = askedNodes(request);
  return (answer as Json[]).flatMap((entry) => {
    const found = keyViolations(entry, ['Host', 'Score']);
    const score = entry['Score'];
    if (!Number.isInteger(score) || (score as number) < 0 || (score as number) > 10)
      found.push(`Score ${String(score)}`);
    if (!asked.includes(entry['Host'])) found.push(`Host ${String(entry['Host'])} was not asked for`);
    return found;
  });
}

function preemptViolations(answer: Json, cluster: KnownCluster): string[] {
  const found = keyViolations(answer, ['NodeNameToMetaVictims']);
  for (const [node, value] of Object.entries((answer['NodeNameToMetaVictims'] ?? {}) as Json)) {
    const victims = value as Json;
    found.push(...keyViolations(victims, ['Pods', 'NumPDBViolations']));
    const violations = victims['NumPDBViolations'];
    if (!Number.isSafeInteger(violations) || (violations as number) < 0) found.push(`NumPDBViolations of ${node}`);
    const pods = victims['Pods'];
    if (!Array.isArray(pods) || pods.length === 0) {
      found.push(`node ${node} without victims: the whole call fails`);
      continue;
    }
    const uids = (pods as Json[]).map((pod) => pod['UID']);
    for (const pod of pods as Json[]) found.push(...keyViolations(pod, ['UID']));
    for (const uid of uids) {
      if (typeof uid !== 'string' || !cluster.isOn(node, uid))
        found.push(`${String(uid)} is not on ${node}: the whole call fails`);
    }
    const priorities = uids.map((uid) => cluster.priorityOf(String(uid)));
    if (priorities.some((priority, position) => priority > (priorities[position - 1] ?? Infinity)))
      found.push(`victims of ${node} not by descending priority: the first would be taken for the highest`);
    if (new Set(uids).size !== uids.length) found.push(`a victim of ${node} twice`);
  }
  return found;
}

function keyViolations(value: unknown, allowed: readonly string[]): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return ['not an object'];
  return Object.keys(value)
    .filter((key) => !allowed.includes(key))
    .map((key) => `unknown key ${key}`);
}

/** Names of the nodes in the request, as kube-scheduler would have them in its cache. */
function askedNodes(request: Json): readonly unknown[] {
  return Array.isArray(request['NodeNames'])
    ? (request['NodeNames'] as unknown[])
    : (itemNames(request['Nodes']) ?? []);
}

function itemNames(nodes: unknown): unknown[] | null {
  if (typeof nodes !== 'object' || nodes === null) return null;
  const items = ((nodes as Json)['items'] ?? []) as { readonly metadata: { readonly name: string } }[];
  return items.map(({ metadata }) => metadata.name);
}
