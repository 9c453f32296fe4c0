import { compileTransitions } from '@iopa/transport'

export { REFUSED } from '@iopa/transport'

/** The tables of the two roles: which message or decision may come in which state, and the state after it. What is not listed ends the handshake. */

const SERVER_STATES = [
  'HELLO',
  'EXPECT_CERTIFICATE',
  'EXPECT_KEY_EXCHANGE',
  'DERIVE',
  'EXPECT_CERTIFICATE_VERIFY',
  'EXPECT_CHANGE_CIPHER_SPEC',
  'EXPECT_FINISHED',
  'ESTABLISHED'
] as const

const CLIENT_STATES = [
  'EXPECT_HELLO',
  'HELLO',
  'EXPECT_CERTIFICATE',
  'EXPECT_KEY_EXCHANGE',
  'EXPECT_REQUEST',
  'EXPECT_DONE',
  'ANSWER',
  'EXPECT_TICKET',
  'EXPECT_CHANGE_CIPHER_SPEC',
  'EXPECT_FINISHED',
  'ESTABLISHED'
] as const

/** Messages by the names of their types, and `CHANGE_CIPHER_SPEC`. */
const MESSAGES = [
  'HELLO_REQUEST',
  'CLIENT_HELLO',
  'SERVER_HELLO',
  'HELLO_VERIFY_REQUEST',
  'NEW_SESSION_TICKET',
  'CERTIFICATE',
  'SERVER_KEY_EXCHANGE',
  'CERTIFICATE_REQUEST',
  'SERVER_HELLO_DONE',
  'CERTIFICATE_VERIFY',
  'CLIENT_KEY_EXCHANGE',
  'FINISHED',
  'CHANGE_CIPHER_SPEC'
] as const

/**
 * Decisions of the machine itself. FULL: the hello messages begin a full handshake; FULL_WITH_CERTIFICATE: one in which the other side sends a certificate;
 * RESUME: a kept session goes on; TICKET: the server sends a ticket next; KEYED: the keys are there; SIGNED: they are, and a signature must follow.
 */
const DECISIONS = ['FULL', 'FULL_WITH_CERTIFICATE', 'RESUME', 'TICKET', 'KEYED', 'SIGNED'] as const

type ServerState = (typeof SERVER_STATES)[number]
type ClientState = (typeof CLIENT_STATES)[number]
export type HandshakeEvent = (typeof MESSAGES)[number] | (typeof DECISIONS)[number]
type Table<State extends string> = Readonly<Record<State, Readonly<Partial<Record<HandshakeEvent, State>>>>>

const EVENTS: readonly HandshakeEvent[] = [...MESSAGES, ...DECISIONS]

const SERVER_TABLE: Table<ServerState> = {
  HELLO: { FULL: 'EXPECT_KEY_EXCHANGE', FULL_WITH_CERTIFICATE: 'EXPECT_CERTIFICATE', RESUME: 'EXPECT_CHANGE_CIPHER_SPEC' },
  EXPECT_CERTIFICATE: { CERTIFICATE: 'EXPECT_KEY_EXCHANGE' },
  EXPECT_KEY_EXCHANGE: { CLIENT_KEY_EXCHANGE: 'DERIVE' },
  DERIVE: { KEYED: 'EXPECT_CHANGE_CIPHER_SPEC', SIGNED: 'EXPECT_CERTIFICATE_VERIFY' },
  EXPECT_CERTIFICATE_VERIFY: { CERTIFICATE_VERIFY: 'EXPECT_CHANGE_CIPHER_SPEC' },
  EXPECT_CHANGE_CIPHER_SPEC: { CHANGE_CIPHER_SPEC: 'EXPECT_FINISHED' },
  EXPECT_FINISHED: { FINISHED: 'ESTABLISHED' },
  ESTABLISHED: {}
}

const CLIENT_TABLE: Table<ClientState> = {
  EXPECT_HELLO: { HELLO_VERIFY_REQUEST: 'EXPECT_HELLO', SERVER_HELLO: 'HELLO' },
  HELLO: {
    FULL: 'EXPECT_KEY_EXCHANGE',
    FULL_WITH_CERTIFICATE: 'EXPECT_CERTIFICATE',
    RESUME: 'EXPECT_CHANGE_CIPHER_SPEC',
    TICKET: 'EXPECT_TICKET'
  },
  EXPECT_CERTIFICATE: { CERTIFICATE: 'EXPECT_KEY_EXCHANGE' },
  // A server without a hint for the identity sends no ServerKeyExchange (RFC 4279 section 2).
  EXPECT_KEY_EXCHANGE: { SERVER_KEY_EXCHANGE: 'EXPECT_REQUEST', CERTIFICATE_REQUEST: 'EXPECT_DONE', SERVER_HELLO_DONE: 'ANSWER' },
  EXPECT_REQUEST: { CERTIFICATE_REQUEST: 'EXPECT_DONE', SERVER_HELLO_DONE: 'ANSWER' },
  EXPECT_DONE: { SERVER_HELLO_DONE: 'ANSWER' },
  ANSWER: { KEYED: 'EXPECT_CHANGE_CIPHER_SPEC', TICKET: 'EXPECT_TICKET' },
  EXPECT_TICKET: { NEW_SESSION_TICKET: 'EXPECT_CHANGE_CIPHER_SPEC' },
  EXPECT_CHANGE_CIPHER_SPEC: { CHANGE_CIPHER_SPEC: 'EXPECT_FINISHED' },
  EXPECT_FINISHED: { FINISHED: 'ESTABLISHED' },
  ESTABLISHED: {}
}

/** The table of a role by number, with the names of its states and events. */
export interface TransitionTable {
  readonly states: readonly string[]
  readonly events: readonly HandshakeEvent[]
  /** The next state for `state * events.length + event`, or `REFUSED`. */
  readonly next: Uint8Array
}

const EVENT_NUMBERS: ReadonlyMap<string, number> = new Map(EVENTS.map((event, number) => [event, number]))

/** The number of an event. */
export const eventNumber = (event: HandshakeEvent): number => EVENT_NUMBERS.get(event)!

export const SERVER_TRANSITIONS: TransitionTable = {
  states: SERVER_STATES,
  events: EVENTS,
  next: compileTransitions(SERVER_STATES, EVENTS, SERVER_TABLE)
}
export const CLIENT_TRANSITIONS: TransitionTable = {
  states: CLIENT_STATES,
  events: EVENTS,
  next: compileTransitions(CLIENT_STATES, EVENTS, CLIENT_TABLE)
}
