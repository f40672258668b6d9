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
 * checkpoint, and a preemptor whose decision is off is also found among those that stand parked.
 */
export const DEFECTS: Readonly<Record<string, Defect>> = {
  'evicts a pod at any version': {
    file: 'kube/writes/pod-deletion.ts',
    from: 'frozenBy === null ? { uid } : { uid, resourceVersion }',
    to: '{ uid }',
  },
  'does not look whether the pod still stands still': {
    file: 'kube/writes/pod-deletion.ts',
    from: '    const { victim, frozenBy } = order;',
    to: '    const { victim } = order;\n    const frozenBy = null as string | null;',
  },
  'takes a ready checkpoint for a frozen pod': {
    file: 'engine/victim-state.ts',
    from: "    return { kind: 'ready', pod, frozenBy: checkpoint.name, thawAtMs };",
    to: "    return { kind: 'ready', pod, frozenBy: null, thawAtMs: null };",
  },
  'takes a state that is being deleted for one to come back to': {
    file: 'engine/victim-state.ts',
    from: '  if (checkpoint.deleting) return unfinished(null, pod, now);\n',
    to: '',
  },
  'takes a frozen pod for a saved one': {
    file: 'agent/orders/saver.ts',
    from: '    const dump = await pod.dump(order.key, order.value.rules, stop);',
    to: "    if (order.value.keepFrozen) await this.#freezer.mark(pod, order.checkpoint.metadata.name, stop);\n    await this.#reportReady(order, pod, { startedMs: takenMs, takenMs, saved: { containers: [], bytes: 0, manifestDigest: '' } });\n    const dump = await pod.dump(order.key, order.value.rules, stop);",
  },
  'evicts whoever could not be saved': {
    file: 'engine/decision-terms.ts',
    from: "  if (onFailure === 'Refuse') return false;\n",
    to: '',
  },
  'evicts whom it has just let go on': {
    file: 'engine/displacement.ts',
    from: '    return; // the ticket stays until the node has let the pod go on: a witness that something is still frozen\n',
    to: "    const order = { victim: { ...victim }, frozenBy: null, preemptor: ticket.decision.preemptor };\n    const allowed = mayGoUnsaved(view, victim, { ...planned, onFailure: 'Evict' });\n    if (checkpoint.deleting && victim.frozenBy === null && allowed) steps.do({ kind: 'Evict', order, victim: planned, decision: ticket.decision, unsaved: because });\n    return;\n",
  },
  'evicts before the last victim is saved': {
    file: 'engine/displacement.ts',
    from: '    steps.lookAgainAt(deadlineMs);\n    return;\n',
    to: '    steps.lookAgainAt(deadlineMs);\n',
  },
  'saves without a ticket': {
    file: 'engine/victim-state.ts',
    from: '  if (ticket === undefined) return unfinished(createTicket(decision, victim, pod), pod, now);',
    to: "  if (ticket === undefined) return unfinished(createCheckpoint(decision, victim, { name: 'none', uid: 'none' } as Ticket), pod, now);",
  },
  'throws finished dumps away for a higher preemptor': {
    file: 'engine/preempt.ts',
    from: 'holdsOn: (node) => holdsOn(view, book, node, request.preemptor),',
    to: 'holdsOn: (node) => holdsOn(view, book, node, { ...request.preemptor, priority: -Infinity }),',
  },
  'undoes what it is about to take over': {
    file: 'engine/displacement.ts',
    from: ' || isAdopted(world.book, ticket)) return;',
    to: ') return;',
  },
  'answers with victims of another node': {
    file: 'engine/preempt.ts',
    from: '    const candidate = { node: decision.node, victims: terminating,',
    to: '    const [other = decision.node] = [...view.nodes()].map(({ node }) => node.name).filter((name) => name !== decision.node);\n    const candidate = { node: other, victims: terminating,',
  },
  'freezes before the turn of the disk': {
    file: 'agent/orders/saver.ts',
    from: 'return await pods.disk.take(() => this.#copy(order, pod, { startedMs, stop }), stop);',
    to: 'return await this.#copy(order, pod, { startedMs, stop });',
  },
  'tries the node again that has failed': [
    {
      file: 'engine/saved-state.ts',
      from: "  if (ticket.failedNodes.some((failed) => failed.node === node.name)) return 'FailedThere';\n",
      to: '',
    },
    {
      file: 'engine/queue.ts',
      from: 'excludedNodes: ticket.failedNodes.map(({ node }) => node),',
      to: 'excludedNodes: [],',
    },
  ],
  'passes every victim on': {
    file: 'engine/preempt.ts',
    from: "    case 'save': {\n",
    to: "    case 'save': {\n      if (request.candidates.length > 1) return { verdict: verdictOf('NothingProtected', request.candidates), opened: null, closed: stale };\n",
  },
  'thaws first and takes the mark off then': {
    file: 'agent/orders/freezer.ts',
    from: '    const fenced = await api.patchPodLocked(',
    to: '    await pod.thaw();\n    const fenced = await api.patchPodLocked(',
  },
  'thaws though the pod is being deleted': {
    file: 'agent/orders/freezer.ts',
    from: '          pod.deletionSeen(current);\n          return null;\n',
    to: '',
  },
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
    file: 'agent/orders/holds.ts',
    from: '      const invalid = pods.invalidate(key).catch(',
    to: '      const invalid = Promise.resolve().catch(',
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
  'leaves what a closed decision had frozen': {
    file: 'engine/next-steps.ts',
    from: "  { of: 'ticket', step: onTicket(stepLeftover) },\n",
    to: '',
  },
  'waits for the agent of a node that is gone': {
    file: 'engine/displacement.ts',
    from: "  else steps.do({ kind: 'ReleaseCheckpoint', checkpoint });\n",
    to: '',
  },
  'goes on for a preemptor that is gone': {
    file: 'engine/displacement.ts',
    from: '  if (preemptor === undefined || isTerminal(preemptor) || preemptor.deletionMs !== null) {',
    to: '  if (preemptor === undefined) return null;\n  if (isTerminal(preemptor)) {',
  },
  'goes on for a preemptor that is bound elsewhere': {
    file: 'engine/displacement.ts',
    from: "  if (preemptor.nodeName !== null) return { because: 'BoundElsewhere', message: `bound to ${preemptor.nodeName}` };\n",
    to: '',
  },
  'wakes nobody whom a dead process turned away': {
    file: 'engine/reconciler.ts',
    from: '    this.#wakes.holdParked();\n',
    to: '',
  },
  'restores beside the old pod': {
    file: 'engine/queue.ts',
    from: "  return ticket.phase !== 'Waiting' || view.pod(ticket.pod.uid) !== undefined || hasFormerClaimant(view, entry);",
    to: '  return entry.pod.deletionMs !== null && ticket.attempts > 9 && view.pod(ticket.pod.uid) !== undefined && hasFormerClaimant(view, entry);',
  },
  'keeps a gate for ever': {
    file: 'engine/queue.ts',
    from: "      ungate(steps, entry, 'GateExpired');\n",
    to: '',
  },
  'keeps the gate of a pod without a ticket': {
    file: 'engine/claims.ts',
    from: "      steps.do({ kind: 'Ungate', pod, as: null, because: 'NoMatchingTicket' });",
    to: '',
  },
  'keeps the gate of a pod whose ticket ended': {
    file: 'engine/claims.ts',
    from: "      steps.do({ kind: 'Ungate', pod, as: null, because: 'TicketEnded', ended: `${reason}: ${message}` });\n",
    to: '',
  },
  'lets two pods have one ticket': {
    file: 'domain/ticket.ts',
    from: '  return ticket.claim === null && !ticket.deleting && !isFinal(ticket.phase);',
    to: '  return !ticket.deleting && !isFinal(ticket.phase);',
  },
  'gives a pod the ticket of another': {
    file: 'domain/pod.ts',
    from: "  return owner?.kind === 'StatefulSet' ? name : completionIndex;",
    to: '  return completionIndex;',
  },
  'forgets a ticket whose claimant is gone': {
    file: 'engine/return.ts',
    from: "      steps.do({ kind: 'Claim', ticket, pod: null, whileGone });",
    to: '',
  },
  'takes a claimant for gone that its watch never brought': {
    file: 'engine/return.ts',
    from: 'const whileGone = { namespace: ticket.namespace, ...claim };',
    to: "const whileGone = { namespace: ticket.namespace, ...claim, name: 'nobody' };",
  },
  'waits for ever for somebody who claims': {
    file: 'engine/return.ts',
    from: "    steps.move(ticket, 'Abandoned', 'NobodyClaimed', 'no pod came to continue it within maxWait');",
    to: '',
  },
  'takes a gate that it removed itself for one that a person removed': {
    file: 'engine/failed-restore.ts',
    from: 'return pod.displacements > ticket.pod.displacements;',
    to: 'return pod.displacements > ticket.pod.displacements + 1;',
  },
  'does not create a bare pod again': {
    file: 'engine/return.ts',
    from: "  if (other === undefined) steps.do({ kind: 'RecreatePod', ticket });\n  else if",
    to: '  if (other === undefined) return;\n  if',
  },
  'abandons what was saved': {
    file: 'engine/return.ts',
    from: '  if (saved && isGone(world, ticket.pod.uid, steps))',
    to: '  if (!saved && isGone(world, ticket.pod.uid, steps))',
  },
  'removes a ticket with its victim': {
    file: 'engine/displacement.ts',
    from: '  if (victim === undefined || victim.deletionMs !== null) return; // its eviction was on the way: the ticket stands',
    to: "  if (victim === undefined || victim.deletionMs !== null) {\n    steps.do({ kind: 'DeleteTicket', ticket, because: 'over', whileStands: null });\n    return;\n  }",
  },
  'keeps the states of ended tickets': {
    file: 'engine/retention.ts',
    from: "ticket.phase === 'Restored' ? -Infinity",
    to: "ticket.phase === 'Restored' ? Infinity",
  },
  'throws the states of ended tickets away': {
    file: 'engine/retention.ts',
    from: 'return isVoid(checkpoint) && checkpoint.failure === null ? -Infinity : keptByTicketMs;',
    to: 'return -Infinity;',
  },
  'orders checkpoints without the rules of the policy': {
    file: 'engine/victim-state.ts',
    from: '      rules: victim.terms.checkpoint,\n',
    to: "      rules: { sockets: 'Close', volumes: 'EmptyDir', maxBytes: 0 },\n",
  },
  'counts a checkpoint that a ticket names as nobody’s': {
    file: 'engine/retention.ts',
    from: '  if (ticket !== undefined && !isFinal(ticket.phase)) return Infinity;\n',
    to: '',
  },
  'takes an agent for silent without reading its Lease': {
    file: 'kube/agent-watch.ts',
    from: '      else await Promise.all(suspects.map(([node, pulse]) => this.#look(node, pulse)));',
    to: '      else for (const [node, pulse] of suspects) void ((pulse.looks = LOOKS), this.#looked(node, pulse), this.#look);',
  },
  'has too little patience with an agent': {
    file: 'kube/agent-watch.ts',
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
    from: '    if (this.#term !== null && this.#sinceMs(this.#renewed) >= this.#options.renewDeadlineMs) {',
    to: '    if (this.#term !== null && this.#sinceMs(this.#renewed) >= 1e12) {',
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
    file: 'engine/steps.ts',
    from: 'export const WATCH_LAG_MS = 5_000;',
    to: 'export const WATCH_LAG_MS = 0;',
  },
  'never lists again after a 410': {
    file: 'kube/reflector.ts',
    from: '      if (error.status === 410) {\n        this.#resourceVersion = null;\n',
    to: '      if (error.status === 410) {\n',
  },
  'does not try again what failed': {
    file: 'engine/executor.ts',
    from: '    if (pauseMs > 0) this.#after(pauseMs, () => this.#onSettled());\n',
    to: "    if (outcome === 'failed') return;\n",
  },
};
