import type { PreemptCandidate, PreemptVerdict } from '../../engine/preemption/callbacks.ts';
import type { PreemptionArgs } from './preemption-args.ts';

/**
 * Answer to `preempt`: `ExtenderPreemptionResult`, always with UIDs, whatever `nodeCacheCapable` says; `{}` where there
 * is nothing to answer.
 *
 * The last guard before the wire: a null in here makes kube-scheduler panic and exit, and an empty victim list fails
 * the whole call (both tried, test/fixtures/wire/README.md). So a candidate that is not whole is left out, whoever made it.
 */
export function preemptionResult(verdict: PreemptVerdict, args: PreemptionArgs): string | Buffer {
  if (args.bytes !== null && givesBack(verdict, args)) return Buffer.concat([BEFORE, args.bytes, AFTER]);
  let entries = '';
  for (const candidate of verdict.candidates) {
    const entry = entryOf(candidate);
    if (entry !== null) entries += entries === '' ? entry : `,${entry}`;
  }
  return entries === '' ? '{}' : `{"NodeNameToMetaVictims":{${entries}}}`;
}

const BEFORE = Buffer.from('{"NodeNameToMetaVictims":{');
const AFTER = Buffer.from('}}');

/** The very candidates of the request, none of them empty: what came says it already. */
function givesBack({ candidates }: PreemptVerdict, { request }: PreemptionArgs): boolean {
  if (candidates.length === 0 || candidates.length !== request.candidates.length) return false;
  for (const [position, candidate] of request.candidates.entries()) {
    if (candidates[position] !== candidate || candidate.victims.length === 0) return false;
  }
  return true;
}

function entryOf(candidate: PreemptCandidate): string | null {
  const { node, victims, numPdbViolations } = (candidate ?? {}) as Partial<PreemptCandidate>;
  if (!isText(node) || !Array.isArray(victims)) return null;
  const uids = new Set<unknown>(victims);
  if (uids.size === 0) return null;
  let pods = '';
  for (const uid of uids) {
    // A list that lost a member would evict too little: kube-scheduler would preempt again for the rest, unasked.
    if (!isText(uid)) return null;
    pods += pods === '' ? `{"UID":${quoted(uid)}}` : `,{"UID":${quoted(uid)}}`;
  }
  const isCount = Number.isSafeInteger(numPdbViolations) && (numPdbViolations as number) >= 0;
  return `${quoted(node)}:{"Pods":[${pods}],"NumPDBViolations":${isCount ? numPdbViolations : 0}}`;
}

/** Names and UIDs need no escapes, and there may be tens of thousands. */
function quoted(text: string): string {
  return /^[\w.-]+$/.test(text) ? `"${text}"` : JSON.stringify(text);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
