/** A replica that answers the webhook from its index, so that displacements wait until it has seen their tickets. */
export interface WebhookReplica {
  readonly name: string;
  /** Its index holds every ticket up to this resourceVersion. */
  readonly seen: string;
}
