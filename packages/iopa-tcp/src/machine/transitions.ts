import { compileTransitions } from '@iopa/transport'

export { REFUSED } from '@iopa/transport'

/** States and events of a listener's TCP connection, and the table of transitions. */

/** Frames are read. */
export const READING = 0
/** The peer has finished sending; what has come before is still read. */
export const DRAINING = 1
/** Nothing more is read. What is in work, and what is observed, goes on: the peer may still read. */
export const STOPPED = 2
/** Nothing more is read, for the peer has broken the framing: what is in work is answered, and observations end. */
export const BROKEN = 3
/** This side has ended the connection; what was written still leaves. */
export const FINISHING = 4
/** The connection is gone. */
export const CLOSED = 5

export type State = 0 | 1 | 2 | 3 | 4 | 5

/** The peer has finished sending. */
export const PEER_END = 0
/** All that has come before the peer's end is read. */
export const READ_OUT = 1
/** This side reads no more: the user of the connection has ended. */
export const STOP = 2
/** The peer has broken the framing, or has not ended a frame in time. */
export const FAULT = 3
/** This side ends the connection. */
export const FINISH = 4
/** The connection is gone. */
export const CLOSE = 5

export type Event = 0 | 1 | 2 | 3 | 4 | 5

export const STATE_NAMES = ['READING', 'DRAINING', 'STOPPED', 'BROKEN', 'FINISHING', 'CLOSED'] as const
export const EVENT_NAMES = ['PEER_END', 'READ_OUT', 'STOP', 'FAULT', 'FINISH', 'CLOSE'] as const

type StateName = (typeof STATE_NAMES)[number]
type EventName = (typeof EVENT_NAMES)[number]

/** For each state the events that may happen in it, and the state after each. What is not listed is refused. */
const TABLE: Readonly<Record<StateName, Readonly<Partial<Record<EventName, StateName>>>>> = {
  READING: { PEER_END: 'DRAINING', STOP: 'STOPPED', FAULT: 'BROKEN', FINISH: 'FINISHING', CLOSE: 'CLOSED' },
  DRAINING: { READ_OUT: 'STOPPED', STOP: 'STOPPED', FAULT: 'BROKEN', FINISH: 'FINISHING', CLOSE: 'CLOSED' },
  // The last frame may turn out to be cut off.
  STOPPED: { PEER_END: 'STOPPED', STOP: 'STOPPED', FAULT: 'BROKEN', FINISH: 'FINISHING', CLOSE: 'CLOSED' },
  BROKEN: { PEER_END: 'BROKEN', STOP: 'BROKEN', FINISH: 'FINISHING', CLOSE: 'CLOSED' },
  FINISHING: { PEER_END: 'FINISHING', CLOSE: 'CLOSED' },
  CLOSED: {}
}

export const EVENTS: number = EVENT_NAMES.length

/** The table by number, so that a step costs one look: the next state for `state * EVENTS + event`, or `REFUSED`. */
export const TRANSITIONS: Uint8Array = compileTransitions(STATE_NAMES, EVENT_NAMES, TABLE)

/** The error for an event that must not happen in a state. */
export const refusal = (state: State, event: Event): Error => new Error(`TCP: ${EVENT_NAMES[event]} must not happen in state ${STATE_NAMES[state]}.`)
