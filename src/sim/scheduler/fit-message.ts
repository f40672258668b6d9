/** `FitError.Error`: how many nodes give which reason. */
export function noFitMessage(nodes: number, reasons: readonly string[], preemption = ''): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const parts = [...counts].map(([reason, count]) => `${count} ${reason}`).sort();
  let message = `0/${nodes} nodes are available:`;
  if (parts.length > 0) message += ` ${parts.join(', ')}.`;
  if (preemption !== '') message += ` preemption: ${preemption}`;
  return message;
}
