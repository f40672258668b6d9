/** Process: the embedded API server over HTTP, filled with a cluster of any size. Its questions are {@link ApiServerHandlers}. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { handleAdmission } from '../../src/http/admission.ts';
import type { AdmissionReview } from '../../src/sim/api-server/admission.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { ApiServer } from '../../src/sim/api-server/api-server.ts';
import type { KubeRequest, PatchType } from '../../src/kube/transport.ts';
import { answer } from './messages.ts';
import * as population from './population.ts';

/** About what a socket takes at once. */
const WRITE_BYTES = 256 * 1024;
const TICK_MS = 20;

const server = new ApiServer({ clock: systemClock, bookmarkEveryMs: 1000 });
const client = new KubeClient(server);
const startMs = Date.now();
let size: population.Population = { nodes: 0, pods: 0 };
let churn: NodeJS.Timeout | null = null;

const handlers = {
  /** Port of the API server that has so many nodes and pods. */
  fill: async (wanted: population.Population): Promise<number> => {
    size = wanted;
    for (const [name, value] of Object.entries(population.PRIORITY_CLASSES))
      await client.create(RESOURCES.priorityClasses, null, { metadata: { name }, value });
    for (const name of population.namespaceNames())
      await client.create(RESOURCES.namespaces, null, { metadata: { name } });
    for (let number = 0; number < wanted.nodes; number++) {
      await client.create(RESOURCES.nodes, null, population.nodeObject(number));
      await setStatus(RESOURCES.nodes, null, population.nodeName(number), population.nodeStatus());
    }
    for (let number = 0; number < wanted.pods; number++) {
      const pod = population.podObject(number, wanted.nodes) as Named;
      const { namespace, name } = pod.metadata;
      await client.create(RESOURCES.pods, namespace, pod);
      await setStatus(RESOURCES.pods, namespace, name, population.podStatus(startTimeOf(number)));
    }
    // From now on pods are reviewed: those of controllers are saved only where the webhook is called.
    const admitPod = async () => ({ gate: false, reason: 'NoTicket' }) as const;
    server.hooks.admitPod = async (review) =>
      JSON.parse((await handleAdmission({ admitPod }, JSON.stringify(review))).body) as AdmissionReview;
    return listen();
  },
  setPolicy: async (decision: 'Adaptive' | 'Never' | null): Promise<void> => {
    for (const { metadata } of server.list(RESOURCES.reprievePolicies)) {
      await client.delete(RESOURCES.reprievePolicies, null, metadata.name);
    }
    if (decision !== null) await client.create(RESOURCES.reprievePolicies, null, population.policyObject(decision));
  },
  /** UIDs of so many pods of each of the first nodes, in kube-scheduler's order of victims: all are of one priority, the oldest first. */
  victims: ({ nodes, perNode }: { readonly nodes: number; readonly perNode: number }): Record<string, string[]> => {
    const byNode: Record<string, { uid: string; startTime: string }[]> = {};
    for (let node = 0; node < nodes; node++) byNode[population.nodeName(node)] = [];
    for (const pod of server.list(RESOURCES.pods)) {
      const { nodeName } = pod['spec'] as { readonly nodeName: string };
      const { startTime } = pod['status'] as { readonly startTime: string };
      const victims = byNode[nodeName];
      if (victims !== undefined && victims.length < perNode) victims.push({ uid: pod.metadata.uid, startTime });
    }
    const uidsOf = (victims: readonly { uid: string; startTime: string }[]): string[] =>
      victims.toSorted((a, b) => a.startTime.localeCompare(b.startTime)).map(({ uid }) => uid);
    return Object.fromEntries(Object.entries(byNode).map(([name, victims]) => [name, uidsOf(victims)]));
  },
  /** So many changes of pods a second from now on; 0: none. */
  stream: (perSecond: number): void => {
    if (churn !== null) clearInterval(churn);
    churn = perSecond === 0 ? null : setInterval(() => void changePods((perSecond * TICK_MS) / 1000), TICK_MS);
  },
};
export type ApiServerHandlers = typeof handlers;
answer(handlers);

interface Named {
  readonly metadata: { readonly namespace: string; readonly name: string };
}

async function setStatus(type: ResourceType, namespace: string | null, name: string, status: object): Promise<void> {
  await client.patch(type, namespace, name, { status }, { type: 'merge', subresource: 'status' });
}

/** Pods of one node have started one after the other. */
function startTimeOf(number: number): string {
  return population.startTimeOf(number, size.nodes, startMs);
}

let changed = 0;

/** What kubelets do most: they say that a pod is ready, or is not. */
async function changePods(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    changed++;
    const number = (changed * 7907) % size.pods;
    const { namespace, name } = (population.podObject(number, size.nodes) as Named).metadata;
    await setStatus(RESOURCES.pods, namespace, name, population.podStatus(startTimeOf(number), changed));
  }
}

function listen(): Promise<number> {
  const http = createServer((request, response) => void serve(request, response));
  return new Promise((resolve) => {
    http.listen(0, '127.0.0.1', () => resolve((http.address() as AddressInfo).port));
  });
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://server');
  const { watch, ...query } = Object.fromEntries(url.searchParams);
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const forwarded: KubeRequest = {
    method: request.method as KubeRequest['method'],
    path: url.pathname,
    query,
    signal: gone.signal,
    ...(chunks.length > 0 && { body: JSON.parse(Buffer.concat(chunks).toString()) as unknown }),
    ...patchTypeOf(request.headers['content-type']),
  };
  if (watch === '1') return streamEvents(forwarded, response, gone.signal);
  const { status, headers, body } = await server.request(forwarded);
  response.writeHead(status, headers).end(JSON.stringify(body));
}

async function streamEvents(request: KubeRequest, response: ServerResponse, gone: AbortSignal): Promise<void> {
  const { status, headers, body, events } = await server.watch(request);
  response.writeHead(status, headers);
  if (status !== 200) return void response.end(JSON.stringify(body));
  response.flushHeaders();
  let lines: string[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    if (lines.length === 0 || gone.aborted) return;
    const isTaken = response.write(lines.join(''));
    lines = [];
    bytes = 0;
    if (!isTaken) await once(response, 'drain', { signal: gone });
  };
  const iterator = events[Symbol.asyncIterator]();
  try {
    let next = iterator.next();
    for (;;) {
      // Whatever is there goes out together; what is not is waited for with nothing held back.
      const isThere = await Promise.race([next.then(() => true), soon()]);
      if (!isThere) await flush();
      const { done, value } = await next;
      if (done) break;
      const line = `${JSON.stringify(value)}\n`;
      lines.push(line);
      bytes += line.length;
      if (bytes >= WRITE_BYTES) await flush();
      next = iterator.next();
    }
    await flush();
  } catch (error) {
    if (!gone.aborted) throw error;
  }
  response.end();
}

/** False, after all promises that are settled now. */
async function soon(): Promise<false> {
  await Promise.resolve();
  await Promise.resolve();
  return false;
}

function patchTypeOf(contentType: string | undefined): { readonly patchType?: PatchType } {
  const name = /^application\/(merge|json|strategic-merge)-patch\+json/.exec(contentType ?? '')?.[1];
  if (name === undefined) return {};
  return { patchType: name === 'strategic-merge' ? 'strategic' : (name as PatchType) };
}
