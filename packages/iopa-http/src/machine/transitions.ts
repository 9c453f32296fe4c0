import { compileTransitions } from '@iopa/transport'

export { REFUSED } from '@iopa/transport'

/**
 * States and events of a server's HTTP/1.1 connection (RFC 9112 section 9), and the one table that says what may follow
 * what. Requests of a connection are answered one after another, so the request in work is part of the state.
 */

/** No request is in work, and nothing of the next one has come. */
export const IDLE = 0
/** A part of the next head has come. */
export const HEAD = 1
/** A request is in work, nothing of its answer is written, and a part of its body is still to come. */
export const RECEIVING = 2
/** A request is in work that has come whole; nothing of its answer is written. */
export const RECEIVED = 3
/** The answer has begun, and a part of the request body is still to come. */
export const ANSWERING_EARLY = 4
/** The answer has begun, and the request has come whole. */
export const ANSWERING = 5
/** The answer has begun, and the peer has ended its side; the answer is the last. */
export const HALF_CLOSED = 6
/** The answer is written; the rest of the request body is read over. */
export const DISCARDING = 7
/** One side has ended the connection; what still comes is thrown away (RFC 9112 section 9.6). */
export const LINGERING = 8
/** The connection is gone, or is cut. */
export const CLOSED = 9

export type State = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9

/** A part of a head has come. */
export const HEAD_PART = 0
/** A head is complete, and no body follows. */
export const REQUEST = 1
/** A head is complete, and a body follows. */
export const REQUEST_WITH_BODY = 2
/** The request body is complete. */
export const BODY_END = 3
/** The head of the answer is written. */
export const ANSWER = 4
/** The answer is complete, and another request may follow. */
export const ANSWER_END = 5
/** The answer is complete, and is the last of its connection. */
export const LAST_ANSWER_END = 6
/** The answer cannot be completed: the connection is cut, so that no part is taken for the whole. */
export const ANSWER_CUT = 7
/** The peer has ended its side of the connection. An answer that has begun still leaves. */
export const PEER_END = 8
/** The peer has ended its side while it gets an answer that has no end: it has gone. */
export const PEER_GONE = 9
/** This side ends the connection, while no request is in work. */
export const FINISH = 10
/** The connection is gone. */
export const CLOSE = 11

export type Event = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11

export const STATE_NAMES = [
  'IDLE',
  'HEAD',
  'RECEIVING',
  'RECEIVED',
  'ANSWERING_EARLY',
  'ANSWERING',
  'HALF_CLOSED',
  'DISCARDING',
  'LINGERING',
  'CLOSED'
] as const

export const EVENT_NAMES = [
  'HEAD_PART',
  'REQUEST',
  'REQUEST_WITH_BODY',
  'BODY_END',
  'ANSWER',
  'ANSWER_END',
  'LAST_ANSWER_END',
  'ANSWER_CUT',
  'PEER_END',
  'PEER_GONE',
  'FINISH',
  'CLOSE'
] as const

type StateName = (typeof STATE_NAMES)[number]
type EventName = (typeof EVENT_NAMES)[number]

const NEXT_REQUEST = { HEAD_PART: 'HEAD', REQUEST: 'RECEIVED', REQUEST_WITH_BODY: 'RECEIVING' } as const
/** Nothing is in work: either side may end the connection. */
const UNOCCUPIED = { PEER_END: 'LINGERING', FINISH: 'LINGERING', CLOSE: 'CLOSED' } as const
/** A peer that ends its side before its answer has begun has gone (docs: README of this package). */
const OWED = { LAST_ANSWER_END: 'LINGERING', PEER_END: 'LINGERING', CLOSE: 'CLOSED' } as const
const BEGUN = { LAST_ANSWER_END: 'LINGERING', ANSWER_CUT: 'CLOSED', PEER_END: 'HALF_CLOSED', PEER_GONE: 'LINGERING', CLOSE: 'CLOSED' } as const

/** For each state the events that may happen in it, and the state after each. What is not listed is refused. */
const TABLE: Readonly<Record<StateName, Readonly<Partial<Record<EventName, StateName>>>>> = {
  IDLE: { ...NEXT_REQUEST, ...UNOCCUPIED },
  HEAD: { ...NEXT_REQUEST, ...UNOCCUPIED },
  RECEIVING: { BODY_END: 'RECEIVED', ANSWER: 'ANSWERING_EARLY', ...OWED },
  RECEIVED: { ANSWER: 'ANSWERING', ...OWED },
  ANSWERING_EARLY: { BODY_END: 'ANSWERING', ANSWER_END: 'DISCARDING', ...BEGUN },
  ANSWERING: { ANSWER_END: 'IDLE', ...BEGUN },
  HALF_CLOSED: { BODY_END: 'HALF_CLOSED', LAST_ANSWER_END: 'LINGERING', ANSWER_CUT: 'CLOSED', CLOSE: 'CLOSED' },
  DISCARDING: { BODY_END: 'IDLE', ...UNOCCUPIED },
  LINGERING: { PEER_END: 'LINGERING', CLOSE: 'CLOSED' },
  CLOSED: { CLOSE: 'CLOSED' }
}

export const EVENTS: number = EVENT_NAMES.length

/** The table by number, so that a step costs one look: the next state for `state * EVENTS + event`, or `REFUSED`. */
export const TRANSITIONS: Uint8Array = compileTransitions(STATE_NAMES, EVENT_NAMES, TABLE)

/** The error for an event that must not happen in a state. */
export const refusal = (state: State, event: Event): Error => new Error(`HTTP: ${EVENT_NAMES[event]} must not happen in state ${STATE_NAMES[state]}.`)
