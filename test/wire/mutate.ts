/**
 * Bodies that are nearly right. A recorded body is parsed, changed in one to four places by rules that know where a body
 * hurts, written again, and one time in four also damaged as text. One seed gives one sequence.
 */

/** A generator of numbers in [0, 1): mulberry32, small and good enough to choose mutations by. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Mutant {
  readonly body: string | Buffer;
  /** What was done, for the message of a failing test. */
  readonly recipe: readonly string[];
}

/** A changed copy of a body; `known` are UIDs and node names of the other bodies, for victims in the wrong place. */
export function mutate(text: string, random: () => number, known: Known): Mutant {
  const recipe: string[] = [];
  let tree: unknown = JSON.parse(text);
  const changes = 1 + Math.floor(random() * 4);
  for (let change = 0; change < changes; change++) {
    const [name, mutation] = pick(TREE_MUTATIONS, random);
    recipe.push(name);
    tree = mutation(tree, random, known);
  }
  const written = write(tree, random() < 0.1 ? random : null);
  if (random() >= 0.25) return { body: written, recipe };
  const [name, damage] = pick(TEXT_MUTATIONS, random);
  return { body: damage(written, random), recipe: [...recipe, name] };
}

export interface Known {
  readonly uids: readonly string[];
  readonly nodes: readonly string[];
}

type Container = Record<string, unknown> | unknown[];
type TreeMutation = (tree: unknown, random: () => number, known: Known) => unknown;
type TextMutation = (text: string, random: () => number) => string | Buffer;

/** JSON text that a value stands for: numbers that JavaScript cannot hold, and nesting that `JSON.stringify` cannot write. */
class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const TEXTS = [
  '',
  ' ',
  '\u0000',
  '\ud800',
  '🧊',
  'ÄÖ',
  '../..',
  '__proto__',
  'a'.repeat(5000),
  '-1',
  '1e99',
  'null',
  '{}',
];
const NAMES = ['', '__proto__', 'constructor', 'toString', 'pod', 'POD', 'Uid', 'nodeNames', '🧊', 'x'.repeat(300)];
const NUMBERS = [
  '0',
  '-0',
  '-1',
  '0.5',
  '1e400',
  '-1e400',
  '9007199254740993',
  '1E20',
  '123456789012345678901234567890',
];

function anyValue(random: () => number): unknown {
  const makers: readonly (() => unknown)[] = [
    () => null,
    () => random() < 0.5,
    () => new RawJson(one(NUMBERS, random)),
    () => one(TEXTS, random),
    () => [],
    () => ({}),
    () => [null],
    () => [[]],
    () => ({ '': null }),
    () => {
      const depth = Math.floor(random() * 20_000);
      return new RawJson(`${'['.repeat(depth)}${']'.repeat(depth)}`);
    },
    () => {
      const depth = Math.floor(random() * 5000);
      return new RawJson(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`);
    },
  ];
  return one(makers, random)();
}

const TREE_MUTATIONS: Readonly<Record<string, TreeMutation>> = {
  'drop a member': (tree, random) =>
    atRandomMember(tree, random, (container, key) => {
      if (Array.isArray(container)) container.splice(Number(key), 1);
      else Reflect.deleteProperty(container, key);
    }),
  'rename a key': (tree, random) =>
    atRandomMember(tree, random, (container, key) => {
      if (Array.isArray(container)) return;
      const name = random() < 0.5 ? one(NAMES, random) : random() < 0.5 ? key.toLowerCase() : `${key}s`;
      const value = container[key];
      Reflect.deleteProperty(container, key);
      Object.defineProperty(container, name, { value, enumerable: true, configurable: true, writable: true });
    }),
  'set a member to null': (tree, random) => atRandomMember(tree, random, (container, key) => put(container, key, null)),
  'set a member to something else': (tree, random) =>
    atRandomMember(tree, random, (container, key) => put(container, key, anyValue(random))),
  'set a top member to something else': (tree, random) => {
    if (!isContainer(tree)) return tree;
    put(
      tree,
      one(['Pod', 'Nodes', 'NodeNames', 'NodeNameToVictims', 'NodeNameToMetaVictims'], random),
      anyValue(random),
    );
    return tree;
  },
  'replace the body': (_tree, random) => anyValue(random),
  'repeat an element': (tree, random) =>
    atRandomMember(tree, random, (container, key) => {
      if (Array.isArray(container)) container.push(container[Number(key)]);
    }),
  'empty a container': (tree, random) =>
    atRandomMember(tree, random, (container, key) => {
      const value = (container as Record<string, unknown>)[key];
      if (isContainer(value)) put(container, key, Array.isArray(value) ? [] : {});
    }),
  'add victims': (tree, random, known) =>
    atVictims(tree, random, (pods) => {
      const count = 1 + Math.floor(random() * (random() < 0.02 ? 2000 : 3));
      for (let i = 0; i < count; i++) {
        const uid = random() < 0.5 ? one(known.uids, random) : `unknown-${Math.floor(random() * 1e6)}`;
        pods.push(random() < 0.5 ? { UID: uid } : { UID: uid, metadata: { uid, name: 'added' } });
      }
    }),
  'take a victim away': (tree, random) =>
    atVictims(tree, random, (pods) => pods.splice(Math.floor(random() * pods.length), 1)),
  'set a victim to something else': (tree, random) =>
    atVictims(tree, random, (pods) => {
      pods[Math.floor(random() * pods.length)] = random() < 0.5 ? anyValue(random) : { UID: anyValue(random) };
    }),
  'add nodes': (tree, random, known) => {
    if (!isContainer(tree)) return tree;
    const name = random() < 0.4 ? one(known.nodes, random) : random() < 0.5 ? one(TEXTS, random) : 'no-such-node';
    const names = (tree as Record<string, unknown>)['NodeNames'];
    if (Array.isArray(names)) names.push(name);
    for (const field of ['NodeNameToVictims', 'NodeNameToMetaVictims']) {
      const map = (tree as Record<string, unknown>)[field];
      if (!isContainer(map)) continue;
      const victims = one(
        [null, {}, { Pods: [] }, { Pods: null }, { Pods: [{ UID: one(known.uids, random) }] }],
        random,
      );
      Object.defineProperty(map, name, { value: victims, enumerable: true, configurable: true, writable: true });
    }
    return tree;
  },
};

const TEXT_MUTATIONS: Readonly<Record<string, TextMutation>> = {
  'cut the text': (text, random) => text.slice(0, Math.floor(random() * text.length)),
  'cut it within a character': (text, random) => {
    const bytes = Buffer.from(`${text.slice(0, Math.floor(random() * text.length))}🧊`);
    return bytes.subarray(0, bytes.length - 2);
  },
  'flip bytes': (text, random) => {
    const bytes = Buffer.from(text);
    for (let i = 0; i < 3 && bytes.length > 0; i++)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    return bytes;
  },
  'random bytes': (_text, random) =>
    Buffer.from(Array.from({ length: Math.floor(random() * 500) }, () => random() * 256)),
  'data behind the end': (text, random) => text + one(['{}', ' ', '\n\n', '\0', 'x', ']'], random),
  'data before the start': (text, random) => one(['\uFEFF', ' ', '\n', 'x', '{'], random) + text,
  'nothing at all': () => '',
};

function atRandomMember(
  tree: unknown,
  random: () => number,
  change: (container: Container, key: string) => void,
): unknown {
  const members: [Container, string][] = [];
  collect(tree, members);
  if (members.length > 0) change(...one(members, random));
  return tree;
}

function collect(value: unknown, members: [Container, string][]): void {
  if (!isContainer(value)) return;
  for (const [key, member] of Object.entries(value)) {
    members.push([value, key]);
    collect(member, members);
  }
}

/** Calls `change` with the victim list of some node; does nothing to bodies that have none. */
function atVictims(tree: unknown, random: () => number, change: (pods: unknown[]) => void): unknown {
  if (!isContainer(tree)) return tree;
  const lists: unknown[][] = [];
  for (const field of ['NodeNameToVictims', 'NodeNameToMetaVictims']) {
    const map = (tree as Record<string, unknown>)[field];
    if (!isContainer(map)) continue;
    for (const victims of Object.values(map)) {
      const pods = isContainer(victims) ? (victims as Record<string, unknown>)['Pods'] : null;
      if (Array.isArray(pods)) lists.push(pods);
    }
  }
  if (lists.length > 0) change(one(lists, random));
  return tree;
}

/** JSON text; with `random`, keys are sometimes written twice, first with a value that does not count. */
function write(value: unknown, random: (() => number) | null): string {
  if (value instanceof RawJson) return value.text;
  if (Array.isArray(value)) return `[${value.map((element) => write(element, random)).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value).map(([key, member]) => {
    const pair = `${JSON.stringify(key)}:${write(member, random)}`;
    return random !== null && random() < 0.2 ? `${JSON.stringify(key)}:${write(anyValue(random), null)},${pair}` : pair;
  });
  return `{${members.join()}}`;
}

function put(container: Container, key: string, value: unknown): void {
  (container as Record<string, unknown>)[key] = value;
}

function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null && !(value instanceof RawJson);
}

function one<T>(values: readonly T[], random: () => number): T {
  return values[Math.floor(random() * values.length)] as T;
}

function pick<T>(table: Readonly<Record<string, T>>, random: () => number): [string, T] {
  return one(Object.entries(table), random);
}
