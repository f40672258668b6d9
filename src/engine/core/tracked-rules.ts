import type { DisruptionBudget } from '../../domain/disruption-budget.ts';
import type { Policy } from '../../domain/policy.ts';
import type { Service } from '../../domain/service.ts';
import type { WebhookReach } from '../../domain/webhook-reach.ts';
import type { WebhookReplica } from '../../domain/webhook-replica.ts';
import type { ClusterView } from '../../index/types.ts';
import { POLICIES, REPLICAS } from './parts.ts';
import type { Reader, Readers } from './readers.ts';

/** The part of `TrackedView` that says what may be done: policies, budgets, and what is known of the cluster as a whole. */
export class TrackedRules {
  protected readonly view: ClusterView;
  protected readonly readers: Pick<Readers<Reader>, 'read'>;

  constructor(view: ClusterView, readers: Pick<Readers<Reader>, 'read'>) {
    this.view = view;
    this.readers = readers;
  }

  namespaceLabels(name: string): Readonly<Record<string, string>> {
    this.readers.read('namespace', name);
    return this.view.namespaceLabels(name);
  }

  pausedFor(): string | null {
    this.readers.read(...POLICIES); // another array with each change of a namespace
    return this.view.pausedFor();
  }

  policies(): readonly Policy[] {
    this.readers.read(...POLICIES);
    return this.view.policies();
  }

  webhookReach(): WebhookReach {
    this.readers.read(...POLICIES); // another array with each change of it
    return this.view.webhookReach();
  }

  hasRuntimeClass(): boolean {
    this.readers.read(...POLICIES);
    return this.view.hasRuntimeClass();
  }

  webhookReplicas(): readonly WebhookReplica[] {
    this.readers.read(...REPLICAS);
    return this.view.webhookReplicas();
  }

  budgets(namespace: string): readonly DisruptionBudget[] {
    this.readers.read('budgets', namespace);
    return this.view.budgets(namespace);
  }

  services(namespace: string): readonly Service[] {
    this.readers.read('services', namespace);
    return this.view.services(namespace);
  }
}
