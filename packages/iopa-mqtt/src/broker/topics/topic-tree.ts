/** Values by topic name, found one by one or by filter; a filter walks only the levels that it names. */
export class TopicTree<Value> {
  readonly #root: Node<Value> = new Node(null)
  #size = 0

  /** Number of topics. */
  get size(): number {
    return this.#size
  }

  get(topic: string): Value | undefined {
    return this.#find(topic)?.value
  }

  /** Sets the value of a topic and returns the one it replaces. */
  set(topic: string, value: Value): Value | undefined {
    let node = this.#root
    for (const level of topic.split('/')) {
      node.children ??= new Map()
      let child = node.children.get(level)
      if (!child) node.children.set(level, (child = new Node(node)))
      node = child
    }
    const before = node.value
    if (before === undefined) this.#size++
    node.value = value
    return before
  }

  /** Removes a topic, and levels that are empty after that. */
  delete(topic: string): Value | undefined {
    const node = this.#find(topic)
    const before = node?.value
    if (!node || before === undefined) return undefined
    node.value = undefined
    this.#size--
    const levels = topic.split('/')
    for (let at: Node<Value> = node, depth = levels.length - 1; depth >= 0 && at.value === undefined && !at.children; depth--) {
      const parent = at.parent as Node<Value>
      parent.children?.delete(levels[depth] as string)
      if (parent.children?.size === 0) parent.children = null
      at = parent
    }
    return before
  }

  /**
   * The values whose topic matches the filter, found while it is iterated; the tree may change meanwhile. It yields null after every few
   * nodes without a value, so that the caller can pause a search that finds little.
   */
  *match(filter: string): Generator<Value | null, void, undefined> {
    yield* walk(this.#root, filter.split('/'), 0, new Effort())
  }

  /** Every value, and null as `match` does. */
  *values(): Generator<Value | null, void, undefined> {
    yield* everything(this.#root, false, new Effort())
  }

  #find(topic: string): Node<Value> | undefined {
    let node: Node<Value> | undefined = this.#root
    for (let from = 0; node; ) {
      const slash: number = topic.indexOf('/', from)
      if (slash === -1) return node.children?.get(topic.slice(from))
      node = node.children?.get(topic.slice(from, slash))
      from = slash + 1
    }
    return undefined
  }
}

class Node<Value> {
  readonly parent: Node<Value> | null
  children: Map<string, Node<Value>> | null = null
  value: Value | undefined = undefined

  constructor(parent: Node<Value> | null) {
    this.parent = parent
  }
}

/** Nodes that a search visits between two values. */
const PIECE = 64

/** Counts the nodes that a search visits. */
class Effort {
  #nodes = 0

  visit(): void {
    this.#nodes++
  }

  /** True once for every piece of work. */
  get spent(): boolean {
    if (this.#nodes < PIECE) return false
    this.#nodes = 0
    return true
  }
}

function* walk<Value>(from: Node<Value>, levels: readonly string[], first: number, effort: Effort): Generator<Value | null, void, undefined> {
  const node = follow(from, levels, first, effort)
  if (node === undefined) return
  const depth = wildcardFrom(levels, first)
  const level = levels[depth]
  if (level === undefined) {
    if (node.value !== undefined) yield node.value
  } else if (level === '#') {
    yield* everything(node, depth === 0, effort)
  } else if (node.children) {
    const next = wildcardFrom(levels, depth + 1)
    for (const [name, child] of node.children) {
      effort.visit()
      if (effort.spent) yield null
      if (depth === 0 && name.charCodeAt(0) === 36) continue
      // Most children lead nowhere, so only those that do get a generator of their own.
      const end = follow(child, levels, depth + 1, effort)
      if (end === undefined) continue
      if (next < levels.length) yield* walk(end, levels, next, effort)
      else if (end.value !== undefined) yield end.value
    }
  }
}

/** Index of the first wildcard at or after a level; the number of levels where there is none. */
function wildcardFrom(levels: readonly string[], first: number): number {
  let depth = first
  while (depth < levels.length && levels[depth] !== '+' && levels[depth] !== '#') depth++
  return depth
}

/** The node that the names from a level on lead to, up to the next wildcard. */
function follow<Value>(from: Node<Value>, levels: readonly string[], first: number, effort: Effort): Node<Value> | undefined {
  let node: Node<Value> | undefined = from
  for (let depth = first; node !== undefined && depth < levels.length; depth++) {
    const level = levels[depth] as string
    if (level === '+' || level === '#') break
    node = node.children?.get(level)
    effort.visit()
  }
  return node
}

/** Everything from here downwards; at the top without the topics that begin with `$` (MQTT 5 section 4.7.2). */
function* everything<Value>(node: Node<Value>, top: boolean, effort: Effort): Generator<Value | null, void, undefined> {
  effort.visit()
  if (effort.spent) yield null
  if (node.value !== undefined) yield node.value
  if (node.children) for (const [name, child] of node.children) if (!top || name.charCodeAt(0) !== 36) yield* everything(child, false, effort)
}
