import type { Constraint, PatternSegment } from '@iopa/transport'

/** A parameter edge with a constraint. */
interface ConstrainedEdge<E> {
  readonly constraint: Constraint
  readonly node: RouteNode<E>
}

/** With more literal children than this, a cheap hash has too many collisions. */
const MAX_BUCKETS = 64

/**
 * One place in the segment trie: what a path may go on with from here, and what answers where it ends here.
 * Fields are plain and preset, for this is what a lookup reads.
 */
export class RouteNode<E> {
  /** The child for a final empty segment, which a trailing slash makes. */
  slash: RouteNode<E> | undefined = undefined
  /** Narrowest constraint first, then by source, so that the order of registration does not count. */
  constrained: ConstrainedEdge<E>[] = []
  param: RouteNode<E> | undefined = undefined
  tail: RouteNode<E> | undefined = undefined
  /** Entries of the pattern that ends here, by method. */
  methods: Map<string, E> | undefined = undefined
  /** The entry for any other method. */
  all: E | undefined = undefined
  readonly #text: string
  // Literal children: in buckets by length and ends of their text, linked by `next`; all of them by text once they are many.
  #next: RouteNode<E> | undefined = undefined
  #buckets: (RouteNode<E> | undefined)[] = [undefined]
  #mask = 0
  #byText: Map<string, RouteNode<E>> | undefined = undefined
  readonly #literals: RouteNode<E>[] = []

  /** `text` is the literal segment that leads here, empty for any other edge. */
  constructor(text: string) {
    this.#text = text
  }

  /** The literal child for the segment from `start` to `end`, which is not empty. */
  literal(path: string, start: number, end: number): RouteNode<E> | undefined {
    if (this.#byText !== undefined) return this.#byText.get(path.slice(start, end))
    const length = end - start
    let child = this.#buckets[bucketOf(path, start, end) & this.#mask]
    while (child !== undefined && (child.#text.length !== length || !path.startsWith(child.#text, start))) child = child.#next
    return child
  }

  /** The child that a segment of a pattern leads to, made when it is not there yet. */
  child(segment: PatternSegment): RouteNode<E> {
    if (segment.kind === 'tail') return (this.tail ??= new RouteNode(''))
    if (segment.kind === 'static') return segment.value === '' ? (this.slash ??= new RouteNode('')) : this.#addLiteral(segment.value)
    if (segment.constraint === undefined) return (this.param ??= new RouteNode(''))
    return this.#addConstrained(segment.constraint)
  }

  /**
   * Calls `clear` on the node that the segments from `at` on lead to, and removes the nodes that lead nowhere after that. True where that node has no
   * entry left.
   */
  remove(segments: readonly PatternSegment[], at: number, clear: (node: RouteNode<E>) => void): boolean {
    const segment = segments[at]
    if (segment === undefined) {
      clear(this)
      return this.methods === undefined && this.all === undefined
    }
    const child = this.#childOf(segment)
    if (child === undefined) return false
    const bare = child.remove(segments, at + 1, clear)
    if (child.#isEmpty) this.#drop(segment, child)
    return bare
  }

  get #isEmpty(): boolean {
    const leadsOn = this.slash ?? this.param ?? this.tail ?? this.constrained[0] ?? this.#literals[0]
    return leadsOn === undefined && this.methods === undefined && this.all === undefined
  }

  #childOf(segment: PatternSegment): RouteNode<E> | undefined {
    if (segment.kind === 'tail') return this.tail
    if (segment.kind === 'static') return segment.value === '' ? this.slash : this.literal(segment.value, 0, segment.value.length)
    const { constraint } = segment
    return constraint === undefined ? this.param : this.constrained.find(edge => edge.constraint.source === constraint.source)?.node
  }

  #drop(segment: PatternSegment, child: RouteNode<E>): void {
    if (segment.kind === 'tail') this.tail = undefined
    else if (segment.kind === 'static') {
      if (segment.value === '') this.slash = undefined
      else this.#dropLiteral(child)
    } else if (segment.constraint === undefined) this.param = undefined
    else this.constrained = this.constrained.filter(edge => edge.node !== child)
  }

  #dropLiteral(child: RouteNode<E>): void {
    this.#literals.splice(this.#literals.indexOf(child), 1)
    if (this.#byText !== undefined) this.#byText.delete(child.#text)
    else {
      this.#buckets.fill(undefined)
      for (const other of this.#literals) this.#link(other)
    }
  }

  #addLiteral(text: string): RouteNode<E> {
    const known = this.literal(text, 0, text.length)
    if (known !== undefined) return known
    const made = new RouteNode<E>(text)
    this.#literals.push(made)
    if (this.#byText !== undefined) this.#byText.set(text, made)
    else if (this.#literals.length * 2 > MAX_BUCKETS) this.#byText = new Map(this.#literals.map(child => [child.#text, child]))
    else if (this.#literals.length * 2 > this.#buckets.length) this.#grow()
    else this.#link(made)
    return made
  }

  #link(child: RouteNode<E>): void {
    const bucket = bucketOf(child.#text, 0, child.#text.length) & this.#mask
    child.#next = this.#buckets[bucket]
    this.#buckets[bucket] = child
  }

  #grow(): void {
    this.#buckets = Array<RouteNode<E> | undefined>(this.#buckets.length * 2).fill(undefined)
    this.#mask = this.#buckets.length - 1
    for (const child of this.#literals) this.#link(child)
  }

  #addConstrained(constraint: Constraint): RouteNode<E> {
    const known = this.constrained.find(edge => edge.constraint.source === constraint.source)
    if (known !== undefined) return known.node
    const made = new RouteNode<E>('')
    this.constrained.push({ constraint, node: made })
    this.constrained.sort((a, b) => a.constraint.breadth - b.constraint.breadth || (a.constraint.source < b.constraint.source ? -1 : 1))
    return made
  }
}

/** A cheap hash of a segment that is not empty: its ends and its length. */
const bucketOf = (path: string, start: number, end: number): number => path.charCodeAt(start) + path.charCodeAt(end - 1) * 3 + (end - start) * 7
