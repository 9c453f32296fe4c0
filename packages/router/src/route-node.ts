import type { Constraint } from './constraint.ts'
import type { Segment } from './pattern.ts'

/** A parameter edge with a constraint. */
interface ConstrainedEdge<E> {
  readonly constraint: Constraint
  readonly node: RouteNode<E>
}

/**
 * One place in the segment trie: what a path may go on with from here, and what answers where it ends here.
 * Fields are plain and preset, for this is what a lookup reads.
 */
export class RouteNode<E> {
  /** Literal text of the segment that leads here; empty for all but static edges. */
  readonly text: string
  /** Next static sibling in the same bucket. */
  next: RouteNode<E> | undefined = undefined
  /** Static children by the bucket of their text. */
  buckets: (RouteNode<E> | undefined)[] = [undefined]
  mask = 0
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
  #children: RouteNode<E>[] = []

  constructor(text: string) {
    this.text = text
  }

  /** The child that a segment of a pattern leads to, made when it is not there yet. */
  child(segment: Segment): RouteNode<E> {
    if (segment.kind === 'tail') return (this.tail ??= new RouteNode(''))
    if (segment.kind === 'static') return segment.value === '' ? (this.slash ??= new RouteNode('')) : this.#literal(segment.value)
    if (segment.constraint === undefined) return (this.param ??= new RouteNode(''))
    return this.#constrain(segment.constraint)
  }

  #literal(text: string): RouteNode<E> {
    const known = this.#children.find(child => child.text === text)
    if (known !== undefined) return known
    const made = new RouteNode<E>(text)
    this.#children.push(made)
    let size = 1
    while (size < this.#children.length * 2) size *= 2
    this.mask = size - 1
    this.buckets = Array<RouteNode<E> | undefined>(size).fill(undefined)
    for (const child of this.#children) {
      const bucket = bucketOf(child.text, 0, child.text.length) & this.mask
      child.next = this.buckets[bucket]
      this.buckets[bucket] = child
    }
    return made
  }

  #constrain(constraint: Constraint): RouteNode<E> {
    const known = this.constrained.find(edge => edge.constraint.source === constraint.source)
    if (known !== undefined) return known.node
    const made = new RouteNode<E>('')
    this.constrained.push({ constraint, node: made })
    this.constrained.sort((a, b) => a.constraint.breadth - b.constraint.breadth || (a.constraint.source < b.constraint.source ? -1 : 1))
    return made
  }
}

/** A cheap hash of a segment that is not empty: its ends and its length. */
export const bucketOf = (path: string, start: number, end: number): number =>
  path.charCodeAt(start) + path.charCodeAt(end - 1) * 3 + (end - start) * 7
