/** The sets of two and more nodes in which each leads to each (Tarjan's strongly connected components), names sorted. */
export const circlesOf = (graph: ReadonlyMap<string, readonly string[]>): string[][] => {
  const circles: string[][] = []
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const path: string[] = []
  const visit = (node: string): number => {
    const own = order.size
    order.set(node, own)
    lowest.set(node, own)
    path.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!graph.has(next)) continue
      const reached = order.has(next) ? (path.includes(next) ? (order.get(next) as number) : own) : visit(next)
      lowest.set(node, Math.min(lowest.get(node) as number, reached))
    }
    if (lowest.get(node) === own) {
      const circle = path.splice(path.indexOf(node))
      if (circle.length > 1) circles.push(circle.sort())
    }
    return lowest.get(node) as number
  }
  for (const node of graph.keys()) if (!order.has(node)) visit(node)
  return circles
}
