import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { IMAGES } from './images.ts';

export interface HogShape {
  /** Pins it to this node. */
  readonly node?: string;
  /** The node it takes where it can. */
  readonly prefers?: string;
  /** Default that of the program. */
  readonly image?: string;
  /** What it holds; default 16. */
  readonly mebibytes?: number;
  readonly priorityClassName?: string;
  readonly runtimeClassName?: string;
  readonly cpu?: string;
  /** Default `hog`; the others need a bed with LANGUAGE_IMAGES. */
  readonly program?: Program;
  /** Default RuntimeDefault. */
  readonly seccomp?: 'RuntimeDefault' | 'Unconfined';
}

export const HOG_PORT = 8080;
const answerTimeoutMs = 10_000;

/** Command lines of the folder programs/: memory in MiB, then the port. */
const PROGRAMS = {
  hog: ['hog'],
  python: ['python3', '/programs/count.py'],
  // The collector is named because the JVM would choose another on a machine with more cores.
  java: ['java', '-XX:+UseSerialGC', '-Xmx512m', '/programs/Count.java'],
  node: ['node', '/programs/count.mjs'],
} as const;

export type Program = keyof typeof PROGRAMS;

/** A pod with the program `hog` (programs/hog.c), which counts in /count, on stdout and on a port; or another that does the same. */
export function hog(name: string, shape: HogShape = {}): object {
  const { program = 'hog', seccomp = 'RuntimeDefault' } = shape;
  const { node, prefers, mebibytes = 16, priorityClassName = 'batch', runtimeClassName, cpu = '100m' } = shape;
  const memory = `${mebibytes + (program === 'hog' ? 16 : 256)}Mi`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      priorityClassName,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1, // it takes all of it: process 1 without a handler does not see SIGTERM
      ...(runtimeClassName !== undefined && { runtimeClassName }),
      ...(node !== undefined && { nodeSelector: { 'kubernetes.io/hostname': node } }),
      ...(prefers !== undefined && { affinity: { nodeAffinity: preference(prefers) } }),
      containers: [
        {
          name: 'main',
          image: shape.image ?? (program === 'hog' ? IMAGES.testTools : IMAGES.languages),
          imagePullPolicy: 'Never',
          command: [...PROGRAMS[program], String(mebibytes), String(HOG_PORT)],
          // CRIU has no io_uring: with the default profile Node.js cannot make a ring, and goes without.
          securityContext: { seccompProfile: { type: seccomp } },
          resources: { requests: { cpu, memory } },
        },
      ],
    },
  };
}

function preference(node: string): object {
  const matchExpressions = [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }];
  return { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, preference: { matchExpressions } }] };
}

export interface HogAnswer {
  readonly count: number;
  /** Whether all that it holds is what it wrote. */
  readonly data: 'ok' | 'corrupt';
}

/** Asks the hog at that address, or null where nobody answers. A frozen one takes the connection and says nothing. */
export async function askHog(host: string, port = HOG_PORT): Promise<HogAnswer | null> {
  const socket = connect({ host, port, timeout: answerTimeoutMs });
  let text = '';
  socket
    .setEncoding('utf8')
    .on('data', (part: string) => (text += part))
    .on('timeout', () => socket.destroy())
    .on('error', () => {}); // `close` follows, and says the same
  await new Promise((resolve) => socket.on('close', resolve));
  const answer = /^count=(\d+) data=(ok|corrupt)\n$/.exec(text);
  return answer && { count: Number(answer[1]), data: answer[2] as HogAnswer['data'] };
}

/** Waits until the hog at that address has counted past `count`. Fails when its data is corrupt. */
export async function hogPast(host: string, count: number, withinMs = 30_000, port = HOG_PORT): Promise<HogAnswer> {
  const deadlineMs = Date.now() + withinMs;
  for (let last: HogAnswer | null = null; Date.now() < deadlineMs; await sleep(50)) {
    last = (await askHog(host, port)) ?? last;
    if (last?.data === 'corrupt') throw new Error(`the hog at ${host} holds corrupt data at ${last.count}`);
    if (last !== null && last.count > count) return last;
  }
  throw new Error(`the hog at ${host} has not counted past ${count}`);
}
