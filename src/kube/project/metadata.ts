import type { PodOwner } from '../../domain/pod.ts';
import type { KubeObject } from '../transport.ts';
import { millisOf } from './time.ts';

/** One object for all that have none: 100,000 empty objects would be memory for nothing. */
const NO_LABELS: Readonly<Record<string, string>> = Object.freeze({});

/** What every domain value takes from `metadata`. Missing text is empty, a missing creation time is the epoch. */
export function metadataOf({ metadata }: KubeObject): {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly creationMs: number;
} {
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    labels: metadata.labels ?? NO_LABELS,
    creationMs: millisOf(metadata.creationTimestamp) ?? 0,
  };
}

/** The owner reference with `controller: true`; null for an object that nobody controls. */
export function controllerOf({ metadata }: KubeObject): PodOwner | null {
  const owner = metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (owner === undefined) return null;
  return { apiVersion: owner.apiVersion, kind: owner.kind, name: owner.name, uid: owner.uid };
}
