/**
 * Filters by level: `+` and `#` are edges of their own, so a match follows at most two edges a level and never compares a filter
 * that cannot match (MQTT 5 section 4.7). Each filter holds values by key.
 */
export class SubscriptionTrie<Key, Value> {
  readonly #root: Node<Key, Value> = new Node()
  #size = 0
  /** Changes whenever the outcome of a match may change. */
  version = 0

  /** Number of values. */
  get size(): number {
    return this.#size
  }

  /** Sets the value of a key under a filter and returns the one it replaces. */
  set(filter: string, key: Key, value: Value): Value | undefined {
    let node = this.#root
    for (let from = 0; from !== -1; ) {
      const slash: number = filter.indexOf('/', from)
      const level = slash === -1 ? filter.slice(from) : filter.slice(from, slash)
      node.children ??= new Map()
      let child = node.children.get(level)
      if (!child) node.children.set(level, (child = new Node()))
      node = child
      from = slash === -1 ? -1 : slash + 1
    }
    const before = node.set(key, value)
    if (before === undefined) this.#size++
    this.version++
    return before
  }

  get(filter: string, key: Key): Value | undefined {
    let node: Node<Key, Value> | undefined = this.#root
    for (const level of filter.split('/')) {
      node = node.children?.get(level)
      if (!node) return undefined
    }
    return node.get(key)
  }

  /** Removes a key from a filter, and levels that are empty after that. */
  delete(filter: string, key: Key): boolean {
    const path: Node<Key, Value>[] = [this.#root]
    const levels = filter.split('/')
    for (const level of levels) {
      const child = (path[path.length - 1] as Node<Key, Value>).children?.get(level)
      if (!child) return false
      path.push(child)
    }
    const leaf = path[path.length - 1] as Node<Key, Value>
    if (!leaf.delete(key)) return false
    for (let depth = levels.length; depth > 0; depth--) {
      const node = path[depth] as Node<Key, Value>
      if (!node.empty || node.children) break
      const parent = path[depth - 1] as Node<Key, Value>
      parent.children?.delete(levels[depth - 1] as string)
      if (parent.children?.size === 0) parent.children = null
    }
    this.#size--
    this.version++
    return true
  }

  /** Visits every value whose filter matches the topic. */
  match(topic: string, visit: (value: Value) => void): void {
    // A wildcard in the first level never matches a topic that begins with `$` (section 4.7.2).
    visitLevel(this.#root, topic, 0, topic.charCodeAt(0) !== 36, visit)
  }
}

/** Most filters have the value of one session, which needs no map. */
class Node<Key, Value> {
  children: Map<string, Node<Key, Value>> | null = null
  #key: Key | undefined = undefined
  #value: Value | undefined = undefined
  #more: Map<Key, Value> | null = null

  get empty(): boolean {
    return this.#key === undefined && this.#more === null
  }

  get(key: Key): Value | undefined {
    return this.#key === key ? this.#value : this.#more?.get(key)
  }

  /** Returns the value that it replaces. */
  set(key: Key, value: Value): Value | undefined {
    if (this.#more === null && (this.#key === undefined || this.#key === key)) {
      const before = this.#value
      this.#key = key
      this.#value = value
      return before
    }
    if (this.#more === null) {
      this.#more = new Map([[this.#key as Key, this.#value as Value]])
      this.#key = this.#value = undefined
    }
    const before = this.#more.get(key)
    this.#more.set(key, value)
    return before
  }

  delete(key: Key): boolean {
    if (this.#more !== null) {
      const deleted = this.#more.delete(key)
      if (this.#more.size === 0) this.#more = null
      return deleted
    }
    if (this.#key !== key) return false
    this.#key = this.#value = undefined
    return true
  }

  visit(visit: (value: Value) => void): void {
    if (this.#more !== null) for (const value of this.#more.values()) visit(value)
    else if (this.#value !== undefined) visit(this.#value)
  }
}

function visitLevel<Key, Value>(node: Node<Key, Value>, topic: string, from: number, wildcards: boolean, visit: (value: Value) => void): void {
  const children = node.children
  if (!children) return
  const slash = topic.indexOf('/', from)
  const last = slash === -1
  if (wildcards) {
    children.get('#')?.visit(visit)
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
  child.visit(visit)
  // `a/#` matches `a` too (section 4.7.1.2).
  child.children?.get('#')?.visit(visit)
}
