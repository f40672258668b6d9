import { outcomeOf, type FuzzCase } from './subject.ts';

/** How often a failure is asked again in search of a smaller one. */
const MAX_ASKS = 1000;

/** A smaller input with the same kind of failure, as far as one is found: members first, then text. */
export async function shrink(fuzzCase: FuzzCase): Promise<string | Buffer> {
  const kind = await kindOf(fuzzCase, fuzzCase.input);
  if (kind === null) return fuzzCase.input;
  let asks = 0;
  const isSame = async (input: string | Buffer): Promise<boolean> =>
    asks++ < MAX_ASKS && (await kindOf(fuzzCase, input)) === kind;
  const text = fuzzCase.input.toString();
  // A body that fails for its bytes is not its text.
  if (!Buffer.from(text).equals(Buffer.from(fuzzCase.input)) && !(await isSame(text))) return fuzzCase.input;
  return await withoutText(await withoutMembers(text, isSame), isSame);
}

/** The first violation without the names and numbers in it; null when there is none. */
async function kindOf(fuzzCase: FuzzCase, input: string | Buffer): Promise<string | null> {
  const [first] = (await outcomeOf(fuzzCase, input)).violations;
  return first === undefined ? null : first.replace(/[^a-zA-Z ]+.*/, '');
}

async function withoutMembers(text: string, isSame: (text: string) => Promise<boolean>): Promise<string> {
  let tree: unknown;
  try {
    tree = JSON.parse(text);
    if (!(await isSame(JSON.stringify(tree)))) return text;
  } catch {
    return text;
  }
  const visit = async (container: unknown): Promise<void> => {
    if (typeof container !== 'object' || container === null) return;
    // Backwards, so that the positions of an array stay what they are.
    for (const key of Object.keys(container).reverse()) {
      const members = container as Record<string, unknown>;
      const member = members[key];
      const put = (): void => {
        if (Array.isArray(container)) container.splice(Number(key), 0, member);
        else
          Object.defineProperty(members, key, { value: member, enumerable: true, configurable: true, writable: true });
      };
      if (Array.isArray(container)) container.splice(Number(key), 1);
      else Reflect.deleteProperty(members, key);
      if (await isSame(JSON.stringify(tree))) continue;
      put();
      await visit(member);
    }
  };
  await visit(tree);
  return JSON.stringify(tree);
}

async function withoutText(text: string, isSame: (text: string) => Promise<boolean>): Promise<string> {
  let shortest = text;
  for (let length = Math.ceil(text.length / 2); length >= 1; length = Math.floor(length / 2)) {
    for (let start = 0; start < shortest.length;) {
      const shorter = shortest.slice(0, start) + shortest.slice(start + length);
      if (await isSame(shorter)) shortest = shorter;
      else start += length;
    }
  }
  return shortest;
}
