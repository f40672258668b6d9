/** A deliberate defect: in `file` (below `src`), the only occurrence of `from` becomes `to`. */
interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Several edits where one mistake is made good by a second mechanism. */
type Defect = Edit | readonly Edit[];

/**
 * Small mistakes that somebody could make. The plans must find each: one that they miss is a hole in them. Not here is what a
 * second mechanism makes good, so that nothing is broken by it: a dump that failed is also undone by the deletion of its
 * checkpoint, a preemptor whose displacement is off is also found among those that stand parked, and of two commands about one pod
 * the earlier one is carried out, so that a ticket is adopted before it could be undone.
 */
export const DEFECTS: Readonly<Record<string, Defect>> = {
  'evicts a pod at any version': {
    file: 'kube/writes/pod-deletion.ts',
    from: 'frozenBy === null ? { uid } : { uid, resourceVersion }',
    to: '{ uid }',
  },
  'does not look whether the pod still stands still': {
    file: 'kube/writes/pod-deletion.ts',
    from: '    const { victim, frozenBy, disruption } = order;',
    to: '    const { victim, disruption } = order;\n    const frozenBy = null as string | null;',
  },
  'takes a ready checkpoint for a frozen pod': {
    file: 'engine/displace/victim-state.ts',
    from: "    return { kind: 'ready', pod, frozenBy: checkpoint.name, thawAtMs };",
    to: "    return { kind: 'ready', pod, frozenBy: null, thawAtMs: null };",
  },
  'takes a state that is being deleted for one to come back to': {
    file: 'engine/displace/victim-state.ts',
    from: '  if (isCalledOff(checkpoint)) return unfinished(null, pod, now);\n',
    to: '',
  },
  'takes a frozen pod for a saved one': {
    file: 'agent/orders/saver.ts',
    from: '    const dump = await pod.dump(order.key, order.value.rules, stop);',
    to: "    if (order.value.keepFrozen) await this.#freezer.mark(pod, order.checkpoint.metadata.name, stop);\n    await this.#reportReady(order, pod, { startedMs: takenMs, takenMs, saved: { containers: [], bytes: 0, manifestDigest: '' } });\n    const dump = await pod.dump(order.key, order.value.rules, stop);",
  },
  'evicts whoever could not be saved': {
    file: 'engine/displace/displacement-terms.ts',
    from: "  if (onFailure === 'Refuse') return false;\n",
    to: '',
  },
  'evicts whom it has just let go on': {
    file: 'engine/displace/displacement.ts',
    from: '    return; // the ticket stays until the node has thawed the pod: a witness that something is still frozen\n',
    to: "    const { displacement } = ticket;\n    const planned = displacement.pods.find(({ uid }) => uid === victim.uid) as DisplacedPod;\n    const order = { victim, frozenBy: null, thawAtMs: null, preemptor: displacement.cause.preemptor };\n    if (checkpoint.release !== null && victim.frozenBy === null && mayGoUnsaved(view, victim, { ...planned, onFailure: 'Evict' }, displacement)) steps.do({ kind: 'Evict', order, victim: planned, displacement, unsaved: because });\n    return;\n",
  },
  'evicts before the last victim is saved': {
    file: 'engine/displace/displacement.ts',
    from: "    if (displacement.commit === 'AllSaved') return;\n",
    to: '',
  },
  'evicts before the followers know the ticket': {
    file: 'engine/displace/barrier.ts',
    from: "  if (behind.length === 0) return 'passed';",
    to: "  if (behind.length >= 0) return 'passed';",
  },
  'publishes a version before its index has the tickets up to it': {
    file: 'kube/cluster-reader.ts',
    from: "  const tickets = kind === 'ticket' ? options.tickets : undefined;",
    to: '  const { tickets } = options;',
  },
  'answers from its index though nobody waits for it any more': {
    file: 'kube/membership.ts',
    from: "    return this.#state.kind === 'member' && !this.#isOutdated && !this.#options.tickets.isBehind;",
    to: "    return this.#state.kind === 'member';",
  },
  'saves without a ticket': {
    file: 'engine/displace/victim-state.ts',
    from: '  if (ticket === undefined) return unfinished(createTicket(displacement, victim, pod), pod, now);',
    to: "  if (ticket === undefined) return unfinished(createCheckpoint(displacement, victim, { name: 'none', uid: 'none' } as Ticket), pod, now);",
  },
  'throws finished dumps away for a higher preemptor': {
    file: 'engine/preemption/preempt.ts',
    from: 'holdsOn: (node) => holdsOn(view, book, node, request.preemptor),',
    to: 'holdsOn: (node) => holdsOn(view, book, node, { ...request.preemptor, priority: -Infinity }),',
  },
  'answers with victims of another node': {
    file: 'engine/preemption/preempt.ts',
    from: '    const candidate = { node, victims: terminating,',
    to: '    const [other = node] = [...view.nodes()].map((on) => on.node.name).filter((name) => name !== node);\n    const candidate = { node: other, victims: terminating,',
  },
  'freezes before the turn of the disk': {
    file: 'agent/orders/saver.ts',
    from: 'return await pods.disk.take(() => this.#copy(order, pod, { startedMs, stop }), stop);',
    to: 'return await this.#copy(order, pod, { startedMs, stop });',
  },
  'tries the node again that has failed': [
    {
      file: 'engine/checkpoints/saved-state.ts',
      from: "  if (ticket.failedNodes.some((failed) => failed.node === node.name)) return 'FailedThere';\n",
      to: '',
    },
    {
      file: 'engine/return/queue.ts',
      from: 'excludedNodes: ticket.failedNodes.map(({ node }) => node),',
      to: 'excludedNodes: [],',
    },
  ],
  'passes every victim on': {
    file: 'engine/preemption/preempt.ts',
    from: "    case 'save': {\n",
    to: "    case 'save': {\n      if (request.candidates.length > 1) return { verdict: verdictOf('NothingProtected', request.candidates), opened: null, closed: stale, cheaper: [] };\n",
  },
  'thaws first and takes the mark off then': {
    file: 'agent/orders/freezer.ts',
    from: '    const fenced = await api.patchPodLocked(',
    to: '    await pod.thaw();\n    const fenced = await api.patchPodLocked(',
  },
  'thaws though the pod is being deleted': [
    {
      file: 'agent/orders/freezer.ts',
      from: '          pod.deletionSeen(current);\n          return null;\n',
      to: '',
    },
    {
      file: 'agent/orders/freezer.ts',
      from: '    if (fenced.metadata.deletionTimestamp !== undefined) pod.deletionSeen(fenced);\n    else {\n',
      to: '    {\n',
    },
  ],
  'forgets the bound of a hold': {
    file: 'agent/orders/holds.ts',
    from: '    this.#timers.set(key, thawAt.monotonicMs - UNMARK_BEFORE_MS, () => {',
    to: '    this.#timers.set(key, thawAt.monotonicMs + 300_000, () => {',
  },
  'thaws nothing without a word from the API server': {
    file: 'agent/orders/holds.ts',
    from: '() => void this.#thawUnasked(pod, key));',
    to: '() => undefined);',
  },
  'thaws a marked pod long before it may': {
    file: 'agent/orders/holds.ts',
    from: '      this.#timers.set(key, thawAt.monotonicMs, () =>',
    to: '      this.#timers.set(key, 0, () =>',
  },
  'restores what its pod has outlived': {
    file: 'agent/orders/freezer.ts',
    from: '() => pods.invalidate(key));',
    to: '() => Promise.resolve(pods));',
  },
  'has a successor wait for the API server before it bounds what is frozen': {
    file: 'agent/orders/checkpoint-orders.ts',
    from: '    if (hold === null) return;\n    this.#holds.bound(pod, hold);\n',
    to: '    if (hold === null) return;\n',
  },
  'gives up a thaw that failed': {
    file: 'agent/orders/freezer.ts',
    from: '        await sleep(clock, retryMs(failures), life).catch(() => undefined);\n',
    to: '        return;\n',
  },
  'has no limit for an eviction that is under way': {
    file: 'kube/writes/pod-deletion.ts',
    from: '{ timeoutMs: DELETE_TIMEOUT_MS, maySend }',
    to: '{ maySend }',
  },
  'evicts as frozen until the very end': {
    file: 'domain/thaw-rule.ts',
    from: '  return thawAtMs - LONGEST_IN_FLIGHT_MS - CLOCK_SKEW_MS;',
    to: '  return thawAtMs + 30_000;',
  },
  'waits for the API server to thaw what it never marked': {
    file: 'agent/orders/saver.ts',
    from: '    if (done === null || done.failure !== null || !keepFrozen) await this.#freezer.release(held);',
    to: '    if (done === null || done.failure !== null || !keepFrozen) await this.#freezer.thaw(held);',
  },
  'keeps the finalizer': {
    file: 'agent/orders/checkpoint-orders.ts',
    from: '    await this.#options.api.removeFinalizer(order.checkpoint, AGENT_FINALIZER, order.life);\n',
    to: '',
  },
  'leaves what a closed displacement had frozen': {
    file: 'engine/core/next-steps.ts',
    from: "  { of: 'ticket', step: onTicket(stepLeftover) },\n",
    to: '',
  },
  'waits for the agent of a node that is gone': {
    file: 'engine/displace/displacement.ts',
    from: "  else steps.do({ kind: 'RemoveFinalizer', checkpoint });\n",
    to: '',
  },
  'goes on for a preemptor that is gone': {
    file: 'engine/causes/preemption.ts',
    from: '  if (preemptor === undefined || isTerminal(preemptor) || preemptor.deletionMs !== null) {',
    to: '  if (preemptor === undefined) return null;\n  if (isTerminal(preemptor)) {',
  },
  'goes on for a preemptor that is bound elsewhere': {
    file: 'engine/causes/preemption.ts',
    from: "  if (preemptor.nodeName !== null) return { because: 'BoundElsewhere', message: `bound to ${preemptor.nodeName}` };\n",
    to: '',
  },
  'wakes nobody whom a dead process turned away': {
    file: 'engine/core/reconciler.ts',
    from: '    this.#wakes.holdParked();\n',
    to: '',
  },
  'restores beside the old pod': {
    file: 'engine/return/queue.ts',
    from: "    ticket.phase !== 'Waiting' ||\n    view.podOf({ namespace: ticket.namespace, uid: ticket.pod.uid }) !== undefined ||\n",
    to: '    ticket.attempts > 9 && view.podOf({ namespace: ticket.namespace, uid: ticket.pod.uid }) !== undefined &&\n',
  },
  'keeps a gate for ever': {
    file: 'engine/return/queue.ts',
    from: "  else ungate(steps, entry, 'GateExpired');\n",
    to: '',
  },
  'keeps the gate of a pod without a ticket': {
    file: 'engine/return/claims.ts',
    from: "      steps.do({ kind: 'Ungate', pod, as: null, because: 'NoMatchingTicket' });",
    to: '',
  },
  'keeps the gate of a pod whose ticket ended': {
    file: 'engine/return/claims.ts',
    from: "      steps.do({ kind: 'Ungate', pod, as: null, because: 'TicketEnded', ended: `${reason}: ${message}` });\n",
    to: '',
  },
  'lets two pods have one ticket': {
    file: 'domain/ticket.ts',
    from: '  return ticket.claim === null && !ticket.deleting && !isFinal(ticket.phase);',
    to: '  return !ticket.deleting && !isFinal(ticket.phase);',
  },
  // Hostname and environment are of the template, and tell them apart as well.
  'gives a pod the ticket of another': [
    { file: 'domain/owner-kinds.ts', from: '      return pod.name;\n', to: '      return null;\n' },
    { file: 'domain/owner-kinds.ts', from: '      return pod.completionIndex;\n', to: '      return null;\n' },
    {
      file: 'kube/project/restore-shape.ts',
      from: 'SHAPE_FIELDS.map((field) => canonicalJson(fields[field]))',
      to: "SHAPE_FIELDS.map((field) => (field === 'env' || field === 'hostname' ? '' : canonicalJson(fields[field])))",
    },
  ],
  'forgets a ticket whose claimant is gone': {
    file: 'engine/return/return.ts',
    from: "      steps.do({ kind: 'Claim', ticket, pod: null, whileGone });",
    to: '',
  },
  'takes a claimant for gone that its watch never brought': {
    file: 'engine/return/return.ts',
    from: 'const whileGone = { namespace: ticket.namespace, ...claim };',
    to: "const whileGone = { namespace: ticket.namespace, ...claim, name: 'nobody' };",
  },
  'waits for ever for somebody who claims': {
    file: 'engine/return/return.ts',
    from: "    steps.move(ticket, 'Abandoned', 'NobodyClaimed', 'no pod came to continue it within maxWait');",
    to: '',
  },
  'takes a gate that it removed itself for one that a person removed': {
    file: 'engine/return/failed-restore.ts',
    from: 'return pod.displacements > ticket.pod.displacements;',
    to: 'return pod.displacements > ticket.pod.displacements + 1;',
  },
  'does not create a bare pod again': {
    file: 'engine/return/return.ts',
    from: '  if (other === undefined) stepUnmade(world, ticket, steps);\n  else if',
    to: '  if (other === undefined) return;\n  if',
  },
  'makes a bare pod again from its admitted object': {
    file: 'kube/pod-template.ts',
    from: '  const given = givenFieldsOf(pod);',
    to: '  const given = givenFieldsOf({ metadata: { name: pod.metadata.name } });',
  },
  'abandons what was saved': {
    file: 'engine/return/return.ts',
    from: '  if (saved && isGone(world, ticket.pod.uid, steps))',
    to: '  if (!saved && isGone(world, ticket.pod.uid, steps))',
  },
  'removes a ticket with its victim': {
    file: 'engine/displace/displacement.ts',
    from: '  if (victim === undefined || victim.deletionMs !== null) return; // its eviction was on the way: the ticket stands',
    to: "  if (victim === undefined || victim.deletionMs !== null) {\n    steps.do({ kind: 'DeleteTicket', ticket, because: 'over', whileStands: null });\n    return;\n  }",
  },
  'keeps the states of ended tickets': {
    file: 'engine/checkpoints/retention.ts',
    from: "ticket.phase === 'Restored' ? -Infinity",
    to: "ticket.phase === 'Restored' ? Infinity",
  },
  'throws the states of ended tickets away': {
    file: 'engine/checkpoints/retention.ts',
    from: 'return isVoid(checkpoint) && failure === null ? -Infinity : keptByTicketMs;',
    to: 'return -Infinity;',
  },
  'orders checkpoints without the rules of the policy': {
    file: 'engine/displace/victim-state.ts',
    from: '      rules: victim.terms.checkpoint,\n',
    to: "      rules: { sockets: 'Close', volumes: 'EmptyDir', maxBytes: 0 },\n",
  },
  'counts a checkpoint that a ticket names as nobody’s': {
    file: 'engine/checkpoints/retention.ts',
    from: '  if (ticket !== undefined && !isFinal(ticket.phase)) return Infinity;\n',
    to: '',
  },
  'takes an agent for silent without reading its Lease': {
    file: 'kube/lease-watch.ts',
    from: '      else await Promise.all(suspects.map(([key, pulse]) => this.#look(key, pulse)));',
    to: '      else for (const [key, pulse] of suspects) void ((pulse.looks = rules.looks), this.#looked(key, pulse), this.#look);',
  },
  'has too little patience with an agent': {
    file: 'kube/lease-watch.ts',
    from: '    return this.#options.clock.monotonic() - sinceMs;',
    to: '    return this.#options.clock.monotonic() - sinceMs + 30_000;',
  },
  'writes without being the leader': {
    file: 'kube/fenced-transport.ts',
    from: 'this.#leadership.term() !== null && request.maySend?.() !== false;',
    to: 'request.maySend?.() !== false;',
  },
  'is not asked again when a request has waited': {
    file: 'kube/fenced-transport.ts',
    from: '    return this.#transport.request({ ...request, maySend });',
    to: '    return this.#transport.request(request);',
  },
  'leads for as long as its timers say': {
    file: 'kube/lease-elector.ts',
    from: '      elapsedMs(this.#options.clock, this.#renewed) >= this.#options.settings.renewDeadlineMs\n    ) {',
    to: '      elapsedMs(this.#options.clock, this.#renewed) >= 1e12\n    ) {',
  },
  'takes a lease that another holds': {
    file: 'kube/lease-elector.ts',
    from: 'return Math.max(0, observed.sinceMs + observed.durationMs - this.#options.clock.monotonic());',
    to: 'return Math.max(0, observed.sinceMs + observed.durationMs / 4 - this.#options.clock.monotonic());',
  },
  'acts before it has read the records again': {
    file: 'app/reprieve.ts',
    from: "isAlone ? null : this.reader.relist('ticket', 'checkpoint');",
    to: 'null;',
  },
  'remembers an earlier term': {
    file: 'engine/engine.ts',
    from: '      this.#book.clear();\n',
    to: '',
  },
  'trusts its first look': {
    file: 'engine/core/steps.ts',
    from: 'export const WATCH_LAG_MS = 5_000;',
    to: 'export const WATCH_LAG_MS = 0;',
  },
  'never lists again after a 410': {
    file: 'kube/reflector.ts',
    from: '      if (error.status === 410) {\n        this.#versions.startOver();\n',
    to: '      if (error.status === 410) {\n',
  },
  // Each Lease that a replica renews also makes the leader look again, so what failed is tried again within five seconds all the same.
  'does not try again what failed': [
    {
      file: 'engine/core/executor.ts',
      from: '    if (pauseMs > 0) this.#after(pauseMs, () => this.#onSettled());\n',
      to: "    if (outcome === 'failed') return;\n",
    },
    {
      file: 'app/reprieve.ts',
      from: '              this.index.setWebhookReplicas(replicas);\n              this.engine.poke();\n',
      to: '              const before = JSON.stringify(this.index.webhookReplicas());\n              this.index.setWebhookReplicas(replicas);\n              if (JSON.stringify(replicas) !== before) this.engine.poke();\n',
    },
    {
      file: 'engine/return/unmade.ts',
      from: '  for (const atMs of [plainMs, lastMs]) if (nowMs < atMs) steps.lookAgainAt(atMs);\n',
      to: '',
    },
  ],

  'restores nothing after a first failure': {
    file: 'engine/return/failed-restore.ts',
    from: '  return hasOtherNode(view, ticket, pod) ? null :',
    to: '  return hasOtherNode(view, ticket, pod) && attempts > 9 ? null :',
  },
  'tries more nodes than the policy says': {
    file: 'engine/return/failed-restore.ts',
    from: '  if (ticket.failedNodes.length >= attempts) return',
    to: '  if (ticket.failedNodes.length > attempts) return',
  },
  'starts cold who is to be held': {
    file: 'engine/return/failed-restore.ts',
    from: "  } else if (ticket.restore.onFailure === 'Hold') {",
    to: "  } else if (ticket.restore.onFailure === 'Hold' && exhausted === '') {",
  },
  'ends the ticket of a pod whose gate a person removed': {
    file: 'engine/return/return.ts',
    from: '  if (pod.ticket !== ticket.name) {',
    to: '  if (pod.ticket !== ticket.name || pod.displacements <= ticket.pod.displacements) {',
  },

  'refuses a second request for a pod': {
    file: 'agent/orders/saver.ts',
    from: '      await this.#lanes.enter(order, stop);\n',
    to: '',
  },
  'says nothing while a pod stands frozen': {
    file: 'agent/orders/saver.ts',
    from: '    void reportDump(order, pod, { clock, startedMs, takenMs, until, onError });\n',
    to: '    void [reportDump, clock, startedMs, until, onError];\n',
  },
  'counts on every agent': {
    file: 'kube/lease-watch.ts',
    from: '    pulse.silent = true;\n',
    to: '    if (pulse.looks < 99) return;\n    pulse.silent = true;\n',
  },
  'saves who would not come back': {
    file: 'domain/webhook-reach.ts',
    from: '  return pod.owner === null || (reach.isCalled && !reach.missedIn.has(pod.namespace));',
    to: '  return pod.owner === null || reach.missedIn.size < 9;',
  },
  'asks once whether the webhook is called': {
    file: 'app/webhook-watch.ts',
    from: '    this.#again(isCalm ? EVERY_MS : ',
    to: '    this.#again(isCalm ? 99 * EVERY_MS : ',
  },

  'counts budgets otherwise than kube-scheduler': {
    file: 'engine/preemption/offer.ts',
    from: '    numPdbViolations: candidate.numPdbViolations,\n  };\n}\n',
    to: '    numPdbViolations: 0,\n  };\n}\n',
  },
  'counts budgets without what goes already': {
    file: 'engine/preemption/budget-use.ts',
    from: 'if (this.#open.size === 0) return candidate.numPdbViolations;',
    to: 'if (this.#open.size < 999) return candidate.numPdbViolations;',
  },
  'takes a bound pod for one that has its room': {
    file: 'engine/causes/preemption.ts',
    from: '  if (preemptor.resizeDeferred) return true;\n',
    to: '',
  },
  'tells nobody of who went unsaved': {
    file: 'observe/narrator.ts',
    from: '  if (unsaved !== null) {\n',
    to: '  if (unsaved !== null && unsaved.length > 999) {\n',
  },
  'tells nobody of who was cheaper to evict': {
    file: 'observe/narrator.ts',
    from: "    say(sink, 'SavingCostsMore', podObject(victim), message, podObject(preemptor));\n",
    to: '    void message;\n',
  },
  'waits for a state that was deleted': {
    file: 'engine/return/return.ts',
    from: 'return checkpoint === undefined ? seesAll(world, steps) : checkpoint.deleting;',
    to: 'return checkpoint === undefined && !seesAll(world, steps);',
  },
  'deletes what a user saved': {
    file: 'engine/checkpoints/retention.ts',
    from: '  if (owner === null) return Math.max(keptByTicketMs, endOfTtlMs(view, checkpoint));\n',
    to: "  if (checkpoint.name === '') return endOfTtlMs(view, checkpoint);\n",
  },
  'brings back what its user has deleted': {
    file: 'engine/return/return.ts',
    from: 'if (ticket.owner !== null || world.disrupted.has(claim.uid)) {',
    to: 'if (ticket.owner !== null || whileGone.uid === claim.uid) {',
  },
  'gives a ticket away whose place is taken': {
    file: 'engine/return/claims.ts',
    from: 'placesTaken(world, group as OwnerKey).keys()',
    to: "placesTaken(world, 'nobody' as OwnerKey).keys()",
  },
  'keeps a ticket whose place is taken': {
    file: 'engine/return/return.ts',
    from: "    else steps.move(ticket, 'ColdStarted', 'NotGated', message);\n",
    to: '    else steps.lookAgainAt(nowMs + message.length * 1e6);\n',
  },
  'goes by the clock of its machine': {
    file: 'kube/server-time.ts',
    from: '      return Math.floor(offsetMs + steadyMs);',
    to: '      return clock.now();',
  },
  'lets a dump hang for an hour': {
    file: 'domain/thaw-rule.ts',
    from: 'const LONGEST_DUMP_MS = 300_000;',
    to: 'const LONGEST_DUMP_MS = 3_600_000;',
  },

  // controllers, and what they make
  'saves a pod whose successor nothing tells': {
    file: 'domain/owner-kinds.ts',
    from: '  return identityLabelsOf(labels, identityLabels) !== null;\n',
    to: '  return true;\n',
  },
  'takes the pods of an unknown controller for interchangeable': {
    file: 'domain/owner-kinds.ts',
    from: '      return pod.identityLabels === null ? pod.name : labelIdentity(pod.identityLabels);\n',
    to: '      return null;\n',
  },
  'keeps a ticket whose owner is gone': {
    file: 'domain/owner-facts.ts',
    from: '  if (end !== null) return end;\n',
    to: '',
  },
  'keeps a ticket that its owner wants no pod for': {
    file: 'engine/return/awaited.ts',
    from: '  if (waiting.findIndex((other) => other.uid === ticket.uid) < comes) return null;\n',
    to: '  if (waiting.length > comes - 99) return null;\n',
  },
  'warns of no Job that an eviction fails': {
    file: 'observe/job-warnings.ts',
    from: '      if (owner === null || fails == null) return [];\n',
    to: '      if (owner === null || fails == null || fails.bears < 99) return [];\n',
  },
  'waits for nodes that are gone': {
    file: 'engine/return/unplaced.ts',
    from: '  if (!pod.gateExpired) {\n',
    to: '  if (!pod.gateExpired && overdueMs < 0) {\n',
  },
  'takes any end of the claiming pod for its restore': [
    {
      file: 'engine/return/ended-claimant.ts',
      from: '  if (endedByOthers || (isGoing && ticket.owner !== null)) {\n',
      to: '  if (endedByOthers && pod.phase === null) {\n',
    },
    { file: 'engine/return/ended-claimant.ts', from: '  } else if (!isGoing)\n', to: '  } else\n' },
  ],
  'gives the gate to pods that are refused with it': {
    file: 'engine/return/admission.ts',
    from: "    if (this.#creations.isAside(request)) return { gate: false, reason: 'RefusedWithGate' };\n",
    to: '',
  },
  'says nothing of a pod that is refused': {
    file: 'engine/core/refused-writes.ts',
    from: "    if (refusal !== null)\n      this.#tell(ticket, 'Refused',",
    to: "    if (refusal !== null && restMs < 0)\n      this.#tell(ticket, 'Refused',",
  },
  'empties a node on which the preemptor cannot run': [
    {
      file: 'engine/causes/preemption.ts',
      from: "  return unfit === null ? null : { because: 'NodeUnfit', message: `node ${node} ${unfit}` };\n",
      to: '  return unfit === null ? null : null;\n',
    },
    {
      file: 'engine/causes/preemption.ts',
      from: "    return why === null ? null : { because: 'NoLongerFits', message: `node ${node} ${why}` };\n",
      to: '    return why === null ? null : null;\n',
    },
  ],
  'forgets that a node was emptied in vain': {
    file: 'engine/causes/preemption.ts',
    from: "    if (because === 'NotBound' || because === 'NoLongerFits')\n",
    to: "    if (because === 'NoLongerFits')\n",
  },
  'admits a pod that no node may take': {
    file: 'engine/return/sorts.ts',
    from: '  return whyExcluded(node, pod) === null;\n',
    to: '  return true;\n',
  },
  'saves pods where the webhook does not look': {
    file: 'domain/protection.ts',
    from: "  if (pod.owner !== null && !isInScope(reach.scope, pod, namespaceLabels)) return 'OutOfScope';\n",
    to: '',
  },
  'takes a claim of a dying pod for a claim': {
    file: 'engine/return/admission.ts',
    from: '  return claim === null || view.podOf({ namespace, uid: claim.uid })?.restored == null;\n',
    to: '  return claim === null;\n',
  },
};

/**
 * The plan that met a defect last, which is played first: a seed; or, for a situation which few random plans meet, a kept plan (in
 * `regressions`). A seed whose plan was drawn anew, or goes another way now, misses it: then it is searched for.
 */
export const SHOWN_BY: Readonly<Record<string, number | string>> = {
  'takes a claimant for gone that its watch never brought': 'claimant-that-the-watch-never-brought',
  'takes a state that is being deleted for one to come back to': 'state-is-going-when-another-leads',
  'restores what its pod has outlived': 'state-of-a-pod-that-ran-on-without-the-api-server',
  'does not try again what failed': 'pod-that-could-not-be-created-again-at-first',
  'evicts a pod at any version': 'slow-eviction-meets-a-thaw',
  'takes a ready checkpoint for a frozen pod': 'slow-eviction-meets-a-thaw',
  'evicts whoever could not be saved': 'policy-no-longer-refuses-when-saving-fails',
  'evicts before the last victim is saved': 'second-victim-is-saved-later',
  'publishes a version before its index has the tickets up to it': 'follower-has-not-seen-the-ticket',
  'throws finished dumps away for a higher preemptor': 'more-important-pod-needs-what-is-saved',
  'tries the node again that has failed': 'only-the-node-that-failed-has-room',
  'thaws first and takes the mark off then': 'deletion-that-the-node-has-not-seen',
  'thaws though the pod is being deleted': 'deletion-that-the-node-has-not-seen',
  'saves who would not come back': 'webhook-is-away-when-it-is-decided',
  'waits for a state that was deleted': 'checkpoint-of-a-waiting-ticket-is-deleted',
  'keeps the gate of a pod whose ticket ended': 'checkpoint-of-a-waiting-ticket-is-deleted',
  'waits for the agent of a node that is gone': 'node-of-a-deleted-checkpoint-is-gone',
  'tells nobody of who went unsaved': 'saving-fails-and-the-pod-goes-unsaved',
  'goes on for a preemptor that is gone': 'preemptor-leaves-while-its-victim-is-saved',
  'goes on for a preemptor that is bound elsewhere': 'preemptor-is-bound-elsewhere-while-its-victim-is-saved',
  'wakes nobody whom a dead process turned away': 'leader-dies-that-told-a-preemptor-to-wait',
  'restores beside the old pod': 'old-pod-stays-when-its-replacement-is-there',
  'does not create a bare pod again': 'pod-comes-back',
  'abandons what was saved': 'pod-comes-back',
  'keeps the states of ended tickets': 'pod-comes-back',
  'forgets a ticket whose claimant is gone': 'claimant-is-deleted',
  'takes a gate that it removed itself for one that a person removed':
    'first-node-fails-and-the-other-one-is-free-later',
  'throws the states of ended tickets away': 'only-attempt-to-restore-fails',
  'orders checkpoints without the rules of the policy': 'pod-with-connections-that-its-policy-refuses',
  'counts a checkpoint that a ticket names as nobody’s': 'pod-waits-longer-than-ended-tickets-are-kept',
  'takes an agent for silent without reading its Lease': 'renewals-of-agents-are-late',
  'has too little patience with an agent': 'agent-is-cut-off-for-a-moment',
  'writes without being the leader': 'leader-stands-still-while-it-displaces',
  'remembers an earlier term': 'leadership-comes-back',
  'never lists again after a 410': 'history-is-compacted',
  'trusts its first look': 'pods-are-behind-when-another-leads',
  'goes by the clock of its machine': 'replacement-past-the-webhook-and-a-clock-set-back',
  'lets a dump hang for an hour': 'dump-of-a-users-checkpoint-hangs',
  'evicts whom it has just let go on': 'preemptor-leaves-when-the-clock-of-the-leader-was-ahead',
  'saves without a ticket': 'pod-comes-back',
  'answers with victims of another node': 'user-deletes-a-victim-that-is-being-saved',
  'passes every victim on': 'listing-is-asked-for-before-the-watch-is-open',
  'leaves what a closed displacement had frozen': 'preemptor-leaves-while-its-victim-is-saved',
  'keeps a gate for ever': 'no-room-comes-until-the-gate-expires',
  'keeps the gate of a pod without a ticket': 'owner-grows-after-a-replacement-came-past-the-webhook',
  'is not asked again when a request has waited': 'leader-stands-still-before-a-write',
  'leads for as long as its timers say': 'leader-stands-still-after-a-write',
  'thaws nothing without a word from the API server': 'state-of-a-pod-that-ran-on-without-the-api-server',
  'forgets the bound of a hold': 'state-of-a-pod-that-ran-on-without-the-api-server',
  'answers from its index though nobody waits for it any more': 'follower-stands-still-while-a-pod-is-displaced',
  'lets two pods have one ticket': 'owner-grows-while-its-pod-waits',
  'waits for ever for somebody who claims': 'nobody-makes-the-pod-again',
  'removes a ticket with its victim': 'leader-dies-right-after-an-eviction',
  'makes a bare pod again from its admitted object': 'pod-comes-back',
  'gives a pod the ticket of another': 'two-pods-of-a-stateful-set-are-displaced-in-turn',
  'acts before it has read the records again': 'records-reach-the-next-leader-late',
  'takes a lease that another holds': 'leader-is-cut-off-within-its-lease',
  'restores nothing after a first failure': 'first-node-fails-and-the-other-one-is-free-later',
  'tries more nodes than the policy says': 'only-attempt-to-restore-fails',
  'starts cold who is to be held': 'gate-removed-where-the-restore-failed-before',
  'ends the ticket of a pod whose gate a person removed': 'gate-removed-where-the-restore-failed-before',
  'deletes what a user saved': 'user-saves-a-pod',
  'refuses a second request for a pod': 'user-saves-a-pod-that-is-being-saved',
  'says nothing while a pod stands frozen': 'dump-takes-twenty-seconds',
  'gives a ticket away whose place is taken': 'owner-grows-after-a-replacement-came-past-the-webhook',
  'keeps a ticket whose place is taken': 'replacement-past-the-webhook-and-a-clock-set-back',
  'brings back what its user has deleted': 'user-deletes-a-pod-that-waits',
  'counts on every agent': 'preemptor-leaves-when-the-clock-of-the-leader-was-ahead',
  'asks once whether the webhook is called': 'webhook-goes-away',
  'counts budgets otherwise than kube-scheduler': 'victim-that-is-cheaper-to-evict',
  'counts budgets without what goes already': 'two-nodes-are-emptied-whose-pods-share-a-budget',
  'takes a bound pod for one that has its room': 'running-pod-asks-its-node-for-more',
  'tells nobody of who was cheaper to evict': 'victim-that-is-cheaper-to-evict',
  'freezes before the turn of the disk': 'second-victim-is-saved-later',
  'takes a frozen pod for a saved one': 'pod-with-connections-that-its-policy-refuses',
  'thaws a marked pod long before it may': 'state-of-a-pod-that-ran-on-without-the-api-server',
  'has a successor wait for the API server before it bounds what is frozen':
    'agent-starts-again-without-the-api-server',
  'gives up a thaw that failed': 'thaw-fails-at-first',
  'keeps the finalizer': 'node-dies-while-a-checkpoint-goes',
  'waits for the API server to thaw what it never marked': 'user-saves-a-pod-while-its-agent-is-cut-off',
  'evicts before the followers know the ticket': 'follower-has-not-seen-the-ticket',
  'does not look whether the pod still stands still': 'slow-eviction-meets-a-thaw',
  'has no limit for an eviction that is under way': 'slow-eviction-meets-a-thaw-without-the-api-server',
  'saves a pod whose successor nothing tells': 'team-whose-pods-nothing-tells-apart',
  'takes the pods of an unknown controller for interchangeable': 'ranks-of-a-team-come-back',
  'keeps a ticket whose owner is gone': 'owner-is-deleted-while-its-pod-is-displaced',
  'keeps a ticket that its owner wants no pod for': 'owner-is-scaled-down-while-its-pod-is-displaced',
  'warns of no Job that an eviction fails': 'job-whose-retries-are-used-up',
  'waits for nodes that are gone': 'only-node-of-a-class-is-removed-under-an-admitted-pod',
  'takes any end of the claiming pod for its restore': 'claiming-pod-is-evicted-while-it-is-restored',
  'gives the gate to pods that are refused with it': 'pods-with-our-runtime-class-are-refused',
  'says nothing of a pod that is refused': 'bare-pod-is-refused',
  'empties a node on which the preemptor cannot run': 'node-loses-a-label-while-a-pod-is-saved',
  'forgets that a node was emptied in vain': 'another-extender-refuses-the-emptied-node',
  'admits a pod that no node may take': 'only-a-node-that-is-not-selected-has-room',
  'saves pods where the webhook does not look': 'pod-of-a-namespace-that-the-webhook-leaves-out',
  'takes a claim of a dying pod for a claim': 'claiming-pod-is-deleted-behind-its-gate',
  'evicts as frozen until the very end': 'leader-comes-back-when-a-pod-was-thawed',
};
