import { isAbsolute } from 'node:path';

/** What the runtime wrapper asks before it creates a sandbox or a container of a pod with a ticket. */
export interface RestoreRequest {
  readonly kind: 'sandbox' | 'container';
  readonly podUid: string;
  readonly sandboxId: string;
  /** Name within the pod; null for a sandbox. */
  readonly container: string | null;
  /** Of the container, or of the sandbox, at the runtime. */
  readonly id: string;
  /** Absolute path of the OCI bundle; its `config.json` says more. */
  readonly bundle: string;
  /** From 0. A later one follows a restore that failed. */
  readonly attempt: number;
  /** Which process waits, `<pid>:<start time>` as /proc has them; null where the wrapper could not tell. */
  readonly process: string | null;
}

/**
 * `pass`: create as usual. `restore`: everything but the processes is in place; `held` ones are left stopped, and run when the
 * agent lets them. `refuse`: containerd is told why.
 */
export type Answer =
  | { readonly kind: 'pass' }
  | { readonly kind: 'restore'; readonly imagePath: string; readonly workPath: string; readonly held: boolean }
  | { readonly kind: 'refuse'; readonly message: string };

export const POD_UID = /^[0-9a-f-]{1,64}$/;
export const CONTAINER_NAME = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
export const CONTAINER_ID = /^[A-Za-z0-9][\w.-]{0,127}$/;

/** Each line once, each as the wrapper writes it; what it does not know yet is skipped. */
const LINES = {
  kind: /^(?:sandbox|container)$/,
  pod: POD_UID,
  sandbox: CONTAINER_ID,
  container: new RegExp(`^$|${CONTAINER_NAME.source}`),
  id: CONTAINER_ID,
  bundle: /^\/[^\p{Cc}]*$/u,
  attempt: /^\d{1,6}$/,
  process: /^(?:\d{1,10}:\d{1,20})?$/,
} as const;

/** Parses `KEY=VALUE` lines. A string is what is wrong with them. */
export function parseRequest(text: string, id: string): RestoreRequest | string {
  const values = new Map<string, string>();
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const at = line.indexOf('=');
    const key = line.slice(0, Math.max(at, 0));
    if (at <= 0) return 'a line without a key';
    if (values.has(key)) return `${key} twice`;
    values.set(key, line.slice(at + 1));
  }
  for (const [key, shape] of Object.entries(LINES)) {
    const value = values.get(key) ?? (key === 'process' ? '' : null);
    if (value === null) return `no ${key}`;
    if (!shape.test(value)) return `an impossible ${key}`;
    values.set(key, value);
  }
  const value = (key: keyof typeof LINES): string => values.get(key) as string;
  const kind = value('kind') as RestoreRequest['kind'];
  if (value('id') !== id) return 'the id of another container';
  if ((kind === 'container') !== (value('container') !== '')) return `a ${kind} named "${value('container')}"`;
  return {
    kind,
    podUid: value('pod'),
    sandboxId: value('sandbox'),
    container: value('container') || null,
    id,
    bundle: value('bundle'),
    attempt: Number(value('attempt')),
    process: value('process') || null,
  };
}

/** The line that the wrapper reads. Throws where it could not: its words are separated by spaces. */
export function answerLine(answer: Answer): string {
  if (answer.kind === 'pass') return 'pass\n';
  if (answer.kind === 'refuse') return `refuse ${printable(answer.message) || 'no reason given'}\n`;
  for (const path of [answer.imagePath, answer.workPath]) {
    if (!isAbsolute(path) || /[\s\p{Cc}]/u.test(path)) throw new Error(`not a path for the wrapper: ${path}`);
  }
  return `${answer.held ? 'restore-held' : 'restore'} ${answer.imagePath} ${answer.workPath}\n`;
}

/** It goes through a shell script into a JSON line: plain ASCII, no quotes or backslashes. */
function printable(message: string): string {
  return message
    .replaceAll('"', "'")
    .replace(/\s+/g, ' ')
    .replace(/[^ -~]|\\/g, '?')
    .trim()
    .slice(0, 1000);
}
