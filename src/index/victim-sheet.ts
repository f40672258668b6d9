import type { PodUid } from '../domain/ids.ts';
import type { Node } from '../domain/node.ts';
import type { Pod } from '../domain/pod.ts';
import type { Policy } from '../domain/policy.ts';
import { protectingPolicy } from '../domain/protection.ts';
import { dominantShare } from '../domain/resources.ts';
import { circumstancesIn } from './circumstances.ts';
import type { ClusterView } from './types.ts';

/**
 * What a decision asks about the pods of one node, in two flat arrays, by place in the eviction order:
 *
 *     place           0             1
 *     words    │ u0 u1 u2 u3 │ u0 u1 u2 u3 │ ...    16 bytes: the UID, where that is a UUID, as all of kube-apiserver are
 *     numbers  │ p s w m d e │ p s w m d e │ ...    48 bytes: priority, start, weight, memory, displacements, ending
 *
 * `preempt` asks about 40,000 pods that lie all over the memory, and the caches of the processor hold none of them: through
 * a hash table and the pods themselves that is some ten misses a pod, and was two thirds of 150 ms. Made when a decision
 * first asks after a change of the node: 64 bytes a pod that holds room, 10 MB for 150,000.
 */
export class VictimSheet {
  readonly #node: Node;
  readonly #pods: readonly Pod[];
  #words: Uint32Array | null = null; // null until somebody asks
  #numbers: Float64Array = NO_NUMBERS;
  #odd: Map<PodUid, number> | null = null; // UIDs that are no UUIDs -> place
  #policies: (Policy | null)[] = []; // place -> who protects it
  #decidedBy: readonly Policy[] | null = null; // for which policies that was found out

  /** `pods` in eviction order. */
  constructor(node: Node, pods: readonly Pod[]) {
    this.#node = node;
    this.#pods = pods;
  }

  /** The place of a pod; -1 where it holds no room here. All other questions are about places that it gave. */
  placeOf(uid: PodUid): number {
    const words = this.#words ?? this.#fill();
    if (!readUuid(uid, KEY, 0) || uid === NIL) return this.#odd?.get(uid) ?? -1;
    const k0 = KEY[0];
    const k1 = KEY[1];
    const k2 = KEY[2];
    const k3 = KEY[3];
    for (let at = 0; at < words.length; at += WORDS) {
      if (words[at] === k0 && words[at + 1] === k1 && words[at + 2] === k2 && words[at + 3] === k3) return at / WORDS;
    }
    return -1;
  }

  /** The order of `byDescendingPriority`, without a look at the pods: places are in eviction order, which breaks ties alike. */
  compareForAnswer(a: number, b: number): number {
    return this.compareImportance(a, b) || a - b;
  }

  /** The part of it that kube-scheduler has too: 0 for pods of one priority that started in the same second. */
  compareImportance(a: number, b: number): number {
    return this.priority(b) - this.priority(a) || this.#startOrNever(a) - this.#startOrNever(b);
  }

  pod(place: number): Pod {
    return this.#pods[place] as Pod;
  }

  priority(place: number): number {
    return this.#numbers[place * NUMBERS] as number;
  }

  /** NaN before it started. */
  startMs(place: number): number {
    return this.#numbers[place * NUMBERS + 1] as number;
  }

  /** Its largest share of the node, 0 to 1. */
  weight(place: number): number {
    return this.#numbers[place * NUMBERS + 2] as number;
  }

  /** As its agent has measured it, else as it requests it. */
  memoryBytes(place: number): number {
    return this.#numbers[place * NUMBERS + 3] as number;
  }

  displacements(place: number): number {
    return this.#numbers[place * NUMBERS + 4] as number;
  }

  /** It is being deleted. */
  isEnding(place: number): boolean {
    return this.#numbers[place * NUMBERS + 5] !== 0;
  }

  /** Who protects it; null for nobody. Found out for all pods of the node when the policies are others than last time. */
  policy(place: number, view: ClusterView): Policy | null {
    const policies = view.policies();
    if (this.#decidedBy !== policies) {
      this.#decidedBy = policies;
      const circumstances = circumstancesIn(view);
      this.#policies = this.#pods.map((pod) =>
        protectingPolicy(pod, this.#node, policies, view.namespaceLabels(pod.namespace), circumstances),
      );
    }
    return this.#policies[place] as Policy | null;
  }

  #startOrNever(place: number): number {
    const startMs = this.startMs(place);
    return Number.isNaN(startMs) ? Number.MAX_SAFE_INTEGER : startMs;
  }

  #fill(): Uint32Array {
    const words = new Uint32Array(this.#pods.length * WORDS);
    const numbers = new Float64Array(this.#pods.length * NUMBERS);
    for (const [place, pod] of this.#pods.entries()) {
      if (!readUuid(pod.uid, words, place * WORDS) || pod.uid === NIL) (this.#odd ??= new Map()).set(pod.uid, place);
      const at = place * NUMBERS;
      numbers[at] = pod.priority;
      numbers[at + 1] = pod.startMs ?? Number.NaN;
      numbers[at + 2] = dominantShare(pod.requests, this.#node.allocatable);
      numbers[at + 3] = pod.stateBytes ?? pod.requests.memoryBytes;
      numbers[at + 4] = pod.displacements;
      numbers[at + 5] = pod.deletionMs === null ? 0 : 1;
    }
    this.#numbers = numbers;
    this.#words = words;
    return words;
  }
}

const WORDS = 4;
const NUMBERS = 6;
const NO_NUMBERS = new Float64Array(0);
const KEY = new Uint32Array(WORDS);
/** Its words are those of UIDs that are no UUIDs. */
const NIL = '00000000-0000-0000-0000-000000000000';
const UUID_LENGTH = 36;
const HYPHEN = 0x2d;
/** Character code -> value of the hexadecimal digit, as `uuid.String` of Go writes it; 255 for all others. */
const DIGITS = Uint8Array.from({ length: 256 }, (_, code) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(code));
  return value < 0 ? 255 : value;
});

/** The 128 bits of a UUID as four words; false, and zeros, where `uid` is not one in its canonical form. */
function readUuid(uid: string, into: Uint32Array, at: number): boolean {
  let isUuid =
    uid.length === UUID_LENGTH &&
    uid.charCodeAt(8) === HYPHEN &&
    uid.charCodeAt(13) === HYPHEN &&
    uid.charCodeAt(18) === HYPHEN &&
    uid.charCodeAt(23) === HYPHEN;
  let position = 0;
  for (let word = 0; word < WORDS && isUuid; word++) {
    let bits = 0;
    for (let digit = 0; digit < 8; digit++) {
      if (uid.charCodeAt(position) === HYPHEN) position++;
      const code = uid.charCodeAt(position++);
      const value = code < 256 ? (DIGITS[code] as number) : 255;
      if (value === 255) isUuid = false;
      bits = (bits << 4) | value;
    }
    into[at + word] = bits;
  }
  if (!isUuid) into.fill(0, at, at + WORDS);
  return isUuid;
}
