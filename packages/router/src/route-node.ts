import { type Constraint, compareSegments, type MixedSegment, type PatternSegment } from '@iopa/transport'

/** An edge that tests the text of a segment. */
interface TestedEdge<E> {
  readonly segment: PatternSegment
  /** Parameters with text beside them; undefined for a parameter with a constraint. */
  readonly mixed: MixedSegment | undefined
  /** Of a parameter that fills the segment. */
  readonly constraint: Constraint | undefined
  readonly node: RouteNode<E>
}

type TestedSegment = MixedSegment | Extract<PatternSegment, { kind: 'param' }>

/** With more literal children than this, a cheap hash has too many collisions. */
const MAX_BUCKETS = 64

/**
 * One place in the segment trie: what a path may go on with from here, and what answers where it ends here.
 * Fields are plain and preset, for this is what a lookup reads.
 */
export class RouteNode<E> {
  /** The child for a final empty segment, which a trailing slash makes. */
  slash: RouteNode<E> | undefined = undefined
  /** Mixed segments and parameters with a constraint, in the order of `compareSegments`: that of registration does not count. */
  tested: TestedEdge<E>[] = []
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
    return isTested(segment) ? this.#addTested(segment) : (this.param ??= new RouteNode(''))
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
    const leadsOn = this.slash ?? this.param ?? this.tail ?? this.tested[0] ?? this.#literals[0]
    return leadsOn === undefined && this.methods === undefined && this.all === undefined
  }

  #childOf(segment: PatternSegment): RouteNode<E> | undefined {
    if (segment.kind === 'tail') return this.tail
    if (segment.kind === 'static') return segment.value === '' ? this.slash : this.literal(segment.value, 0, segment.value.length)
    return isTested(segment) ? this.#testedBy(segment)?.node : this.param
  }

  #drop(segment: PatternSegment, child: RouteNode<E>): void {
    if (segment.kind === 'tail') this.tail = undefined
    else if (segment.kind === 'static') {
      if (segment.value === '') this.slash = undefined
      else this.#dropLiteral(child)
    } else if (isTested(segment)) this.tested = this.tested.filter(edge => edge.node !== child)
    else this.param = undefined
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

  #testedBy(segment: TestedSegment): TestedEdge<E> | undefined {
    return this.tested.find(edge => compareSegments(edge.segment, segment) === 0)
  }

  #addTested(segment: TestedSegment): RouteNode<E> {
    const known = this.#testedBy(segment)
    if (known !== undefined) return known.node
    const node = new RouteNode<E>('')
    const [mixed, constraint] = segment.kind === 'mixed' ? [segment, undefined] : [undefined, segment.constraint]
    this.tested.push({ segment, mixed, constraint, node })
    this.tested.sort((a, b) => compareSegments(a.segment, b.segment))
    return node
  }
}

const isTested = (segment: TestedSegment): boolean => segment.kind === 'mixed' || segment.constraint !== undefined

/** A cheap hash of a segment that is not empty: its ends and its length. */
const bucketOf = (path: string, start: number, end: number): number => path.charCodeAt(start) + path.charCodeAt(end - 1) * 3 + (end - start) * 7
