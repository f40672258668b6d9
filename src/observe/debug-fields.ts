/**
 * Every field of the answer to `/debug/state`, once. Ages and what is `left` of a time are seconds; names are
 * `namespace/name`; nothing of what pods hold is shown.
 */
export const DEBUG_FIELDS = {
  time: 'When this was asked, by the clock of this process.',
  instance: 'Which process answered.',
  synced: 'The index is complete.',
  webhook:
    'Whether kube-apiserver calls the webhook, as the last canary of this replica showed while it led, and the namespaces in which a replacement came without review.',
  replicas:
    'Null without leader election. `own`: whether this replica answers reviews from its index (`member`), why not, and up to which resourceVersion it holds the tickets. `waitedFor`: the replicas that evictions wait for, and what each has published.',
  leads: 'This replica leads.',
  mayAct: 'It decides and writes: complete, and leading.',
  displacements:
    'Displacements that are being carried out: cause, age, time left to save, each pod with its state and what it waits for, and replicas of the webhook that have not seen the tickets yet (`behind`).',
  held: 'Preemptors that were turned away with nothing recorded, and what has to happen until they are woken.',
  refused: 'Nodes that are not chosen again for a preemptor for a while, because saving failed there.',
  tickets:
    'How many by phase; the open ones with age, priority, claiming pod and what they wait for. For the first of the queue, how many nodes stand in the way: `incompatible`, `unsuitable`, `saturated`, `full`, `conflicting` (a host port, a volume or other pods keep the pod off), or `promised` to a ticket before it.',
  frozen: 'Frozen pods, with the cause as in `reprieve_frozen_pods`.',
  inFlight: 'Writes that wait for their answer, by the object they are about.',
  resting: 'Objects that are left alone after a failed write, or one that changed nothing.',
  settings: 'Settings of the engine, in milliseconds.',
  costs: 'The cost model.',
  onUnsynced: 'What `preempt` is answered while this process may not act.',
  watches: 'By kind: objects in the index, age of what is known, and the totals of the reader.',
  eventsDropped: 'Events that could not be written.',
} as const;
