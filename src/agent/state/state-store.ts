import type { RestoreFailure } from '../../domain/condition-reasons.ts';
import type { FileDigest } from './digest.ts';
import type { SavedPodLayout } from './layout.ts';
import type { Manifest } from './manifest.ts';

/** What a state is, without its files. */
export type StateContents = Omit<Manifest, 'version' | 'files'>;

export interface CommitOptions {
  /** Digests that are known already, because the files were hashed as they were written; path -> digest. */
  readonly known: ReadonlyMap<string, FileDigest>;
  readonly signal?: AbortSignal | undefined;
}

export interface CommittedState {
  readonly manifest: Manifest;
  /** `sha256:<hex>` of the manifest, which has those of all files: what the API server is told. */
  readonly manifestDigest: string;
  /** How long each step took, for the log. */
  readonly ms: Readonly<Record<string, number>>;
}

/** A state that a pod on this node is to continue. */
export interface WantedState {
  /** As it stands in the ticket. */
  readonly location: { readonly node: string; readonly reference: string };
  readonly manifestDigest: string;
  /** Of all its files, as its PodCheckpoint says. */
  readonly bytes: number;
  /** Of the pod that continues it. */
  readonly podUid: string;
  /** Name of the ticket by which it does. */
  readonly ticket: string;
}

export interface OpenRefusal {
  readonly reason: Extract<RestoreFailure, 'CheckpointMissing' | 'FetchFailed' | 'DigestMismatch'>;
  readonly message: string;
}

export type OpenedState =
  { readonly layout: SavedPodLayout; readonly manifest: Manifest } | { readonly refusal: OpenRefusal };

/**
 * Where saved states lie. A state is kept under the reference of its PodCheckpoint (`referenceOf`):
 *
 *     none ── begin ──> draft ── commit ──> whole ── invalidate ──> draft
 *      ^                  └───────── remove ──┴────────────────────────┘
 *
 * A draft is a folder on this node, for a backend writes files. Only a whole state is opened, and only with the digest that
 * `commit` gave: what was changed since, in whichever store, is refused. Every step is on the disk, or in the store, when it
 * resolves, and another process of the agent finds what this one left. `test/conformance/state-store.test.ts` holds every engine to
 * this page.
 */
export interface StateStore {
  /** References of all that this node keeps, drafts included. */
  list(): Promise<readonly string[]>;
  /** What each of them takes, by its reference. */
  usage(): Promise<ReadonlyMap<string, number>>;
  /** How much a draft can still take. */
  freeBytes(): Promise<number>;
  /** An empty draft: what an earlier process left under the reference is gone. Throws a RangeError for what is no reference. */
  begin(reference: string): Promise<SavedPodLayout>;
  /**
   * Makes a draft whole: digests, durability, and the manifest last. Rejects where the draft holds anything else than files, and
   * with the reason of `signal`; the draft stays one then.
   */
  commit(draft: SavedPodLayout, contents: StateContents, options: CommitOptions): Promise<CommittedState>;
  isWhole(reference: string): Promise<boolean>;
  /** Nothing is restored from this state any more. */
  invalidate(reference: string): Promise<void>;
  /** Nothing happens where there is none. */
  remove(reference: string): Promise<void>;
  /**
   * The verified files of a state on this node; may take minutes. A refusal is a verdict about this node and this state; what may pass
   * (a disk or API error) rejects. What is brought here for the pod lies here until {@link close}; after a refusal nothing does.
   */
  open(wanted: WantedState, stop: AbortSignal): Promise<OpenedState>;
  /** Removes what was brought here for a pod, once an `open` that was called off has ended; the state stays where it lies. */
  close(podUid: string): Promise<void>;
  /** The same for all other pods than these. */
  closeOthers(podUids: ReadonlySet<string>): Promise<void>;
}
