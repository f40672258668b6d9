/** One input, and how the program under test is asked about it, as often as shrinking wants. */
export interface FuzzCase {
  readonly input: string | Buffer;
  /** What it was made of, for the message of a failure. */
  readonly recipe: readonly string[];
  readonly ask: (input: string | Buffer) => Outcome | Promise<Outcome>;
}

export interface Outcome {
  /** Class of the answer, as `200 Saving`: what a run saw is counted by it. */
  readonly answer: string;
  /** Everything in which the answer is wrong; empty when it is right. */
  readonly violations: readonly string[];
}

/** Something that takes input from outside. A maker is used for one block of cases: what it remembers is as repeatable as its seed. */
export interface FuzzSubject {
  readonly name: string;
  /** Of 20 cases so many are of this subject. */
  readonly share: number;
  readonly maker: (random: () => number) => FuzzMaker;
}

interface FuzzMaker {
  readonly next: () => FuzzCase;
  /** Ends what runs on by itself. */
  readonly end?: () => Promise<void>;
}

/** The outcome of `ask`, where throwing is one, too. */
export async function outcomeOf({ ask }: FuzzCase, input: string | Buffer): Promise<Outcome> {
  try {
    return await ask(input);
  } catch (error) {
    const cause = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { answer: 'thrown', violations: [`thrown: ${cause.split('\n').slice(0, 4).join(' ')}`] };
  }
}

export function one<T>(values: readonly T[], random: () => number): T {
  return values[Math.floor(random() * values.length)] as T;
}
