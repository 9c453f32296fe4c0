/**
 * Filters by level: `+` and `#` are edges of their own, so a match follows at most two edges a level and never compares a filter
 * that cannot match (MQTT 5 section 4.7). Each filter holds values by key.
 */
export class SubscriptionTrie<Key, Value> {
  readonly #root: Node<Key, Value> = new Node()
  #size = 0
  #version = 0

  /** Number of values. */
  get size(): number {
    return this.#size
  }

  /** Changes whenever the outcome of a match may change. */
  get version(): number {
    return this.#version
  }

  /** Sets the value of a key under a filter and returns the one it replaces. */
  set(filter: string, key: Key, value: Value): Value | undefined {
    let node = this.#root
    for (const level of filter.split('/')) {
      node.children ??= new Map()
      let child = node.children.get(level)
      if (!child) node.children.set(level, (child = new Node()))
      node = child
    }
    node.values ??= new Map()
    const before = node.values.get(key)
    node.values.set(key, value)
    if (before === undefined) this.#size++
    this.#version++
    return before
  }

  get(filter: string, key: Key): Value | undefined {
    let node: Node<Key, Value> | undefined = this.#root
    for (const level of filter.split('/')) {
      node = node.children?.get(level)
      if (!node) return undefined
    }
    return node.values?.get(key)
  }

  /** Takes a key off a filter, and the levels that nobody needs any more with it. */
  delete(filter: string, key: Key): boolean {
    const path: Node<Key, Value>[] = [this.#root]
    const levels = filter.split('/')
    for (const level of levels) {
      const child = (path[path.length - 1] as Node<Key, Value>).children?.get(level)
      if (!child) return false
      path.push(child)
    }
    const leaf = path[path.length - 1] as Node<Key, Value>
    if (!leaf.values?.delete(key)) return false
    if (leaf.values.size === 0) leaf.values = null
    for (let depth = levels.length; depth > 0; depth--) {
      const node = path[depth] as Node<Key, Value>
      if (node.values || node.children) break
      const parent = path[depth - 1] as Node<Key, Value>
      parent.children?.delete(levels[depth - 1] as string)
      if (parent.children?.size === 0) parent.children = null
    }
    this.#size--
    this.#version++
    return true
  }

  /** Visits every value whose filter matches the topic. */
  match(topic: string, visit: (value: Value) => void): void {
    // A wildcard in the first level never matches a topic that begins with `$` (section 4.7.2).
    visitLevel(this.#root, topic, 0, topic.charCodeAt(0) !== 36, visit)
  }
}

class Node<Key, Value> {
  children: Map<string, Node<Key, Value>> | null = null
  values: Map<Key, Value> | null = null
}

function visitLevel<Key, Value>(node: Node<Key, Value>, topic: string, from: number, wildcards: boolean, visit: (value: Value) => void): void {
  const children = node.children
  if (!children) return
  const slash = topic.indexOf('/', from)
  const last = slash === -1
  if (wildcards) {
    visitValues(children.get('#'), visit)
    const any = children.get('+')
    if (any) visitChild(any, topic, slash, last, visit)
  }
  const child = children.get(last ? topic.slice(from) : topic.slice(from, slash))
  if (child) visitChild(child, topic, slash, last, visit)
}

function visitChild<Key, Value>(child: Node<Key, Value>, topic: string, slash: number, last: boolean, visit: (value: Value) => void): void {
  if (!last) {
    visitLevel(child, topic, slash + 1, true, visit)
    return
  }
  visitValues(child, visit)
  // `a/#` matches `a` too (section 4.7.1.2).
  visitValues(child.children?.get('#'), visit)
}

function visitValues<Key, Value>(node: Node<Key, Value> | undefined, visit: (value: Value) => void): void {
  if (node?.values) for (const value of node.values.values()) visit(value)
}
