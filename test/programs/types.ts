/** What a program needs in its image, by the registry that has it. */
export interface Ingredients {
  /** Packages of Debian. */
  readonly debian?: readonly string[];
  /** Packages of npm, in /opt/npm. */
  readonly npm?: readonly string[];
  /** Packages of PyPI, in /opt/pypi. Without compiled modules: the tree has another Python than this machine. */
  readonly pypi?: readonly string[];
  /** `group:artifact:version`, with all that it needs, in /opt/maven/<artifact>. */
  readonly maven?: readonly string[];
  /** Files of `sources`, compiled on this machine, in /opt/bin under their names without the ending. */
  readonly compiled?: readonly string[];
}

/** Trees that programs share: an image of everything would be 4 GB on each node. That of the sample is small. */
export type ImageName = 'sample' | 'services' | 'science' | 'jvm';

/**
 * A program that people run: how it starts, what it does while it is frozen, and what must be true of it afterwards. One row of
 * the matrix, and everything that the driver knows of it.
 */
export interface Program {
  /** Argument of the command, and name of the pod. */
  readonly slug: string;
  /** As the matrix calls it. */
  readonly name: string;
  /** What it does at the freeze, as the matrix says it. */
  readonly load: string;
  readonly image: ImageName;
  readonly needs: Ingredients;
  /** Files of `sources` that it finds in /programs, where a ConfigMap is mounted. */
  readonly sources?: readonly string[];
  /** Process 1, for `sh -c`; /work is an emptyDir. */
  readonly start: string;
  /** Other containers, by name, each with its process 1. */
  readonly beside?: Readonly<Record<string, string>>;
  /** For `sh -c` inside the first container; prints lines of a name, a blank and a value. */
  readonly look: string;
  readonly judge: Judge;
  /** True: the matrix is wrong if it does not come back whole. */
  readonly mustBeWhole?: true;
}

/** Names that `look` prints. All must be there before the program counts as started. */
export interface Judge {
  /** Numbers that are larger after the restore. */
  readonly grows: readonly string[];
  /** Values that are what they were before the freeze. */
  readonly same?: readonly string[];
  /** Values that are known beforehand. */
  readonly is?: Readonly<Record<string, string>>;
}

export type Facts = Readonly<Record<string, string>>;

/**
 * `whole`: restored on another node, and its own state says so. `refused`: `reprieve.dev/Checkpointable=False` before the
 * displacement. `late`: anything else, that is, work that was counted on and is lost, or a preemptor that waited in vain.
 */
type Verdict = 'whole' | 'refused' | 'late';

export interface Result {
  readonly verdict: Verdict;
  /** Why it was refused, or what was wrong; absent where it is whole. */
  readonly why?: string;
  /** Of the checkpoint. */
  readonly bytes?: number;
  /** From the freeze until the checkpoint was verified. */
  readonly savedMs?: number;
  /** From the binding of the new pod until it was Ready. */
  readonly restoredMs?: number;
  /** What was left on the nodes afterwards; absent where it was nothing. */
  readonly left?: readonly string[];
}
