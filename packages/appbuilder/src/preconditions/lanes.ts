import type { RunContext } from '@iopa/context/host'

/** A change that has the turn of its path. */
export class Turn {
  readonly context: RunContext
  /** The turn that this change is nested in. */
  readonly outer: Turn | null
  readonly lane: Lane
  /** For changes of the same path that are nested in this one. */
  readonly inner: Lane = new Lane()
  /** Lanes that changes nested in this one wait for. */
  readonly awaited: Set<Lane> = new Set()
  over = false

  constructor(context: RunContext, outer: Turn | null, lane: Lane) {
    this.context = context
    this.outer = outer
    this.lane = lane
  }
}

/** A change that waits for its turn. */
export interface Waiting {
  readonly context: RunContext
  readonly outer: Turn | null
  start(turn: Turn): void
}

/** The changes of one path: the one that has the turn, and those that wait for it. */
export class Lane {
  holder: Turn | null = null
  readonly waiting: Waiting[] = []
}

/** True when `inner` is `turn`, or is nested in it. */
export const isWithin = (inner: Turn | null, turn: Turn): boolean => {
  for (let at = inner; at !== null; at = at.outer) if (at === turn) return true
  return false
}

/** True when the end of the turn that holds `lane` waits, through other turns, for the change that would wait here, which is nested in `outer`. */
export const closesCircle = (lane: Lane, outer: Turn | null): boolean => {
  if (outer === null) return false
  const seen = new Set<Turn>()
  const open = [lane.holder]
  for (let turn = open.pop(); turn !== undefined; turn = open.pop()) {
    if (turn === null || seen.has(turn)) continue
    if (isWithin(outer, turn)) return true
    seen.add(turn)
    for (const awaited of turn.awaited) open.push(awaited.holder)
  }
  return false
}
