import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { HttpMachine } from '../src/machine/http-machine.ts'
import { CLOSED, EVENT_NAMES, type Event, IDLE, LINGERING, STATE_NAMES, type State } from '../src/machine/transitions.ts'
import { AnswerHeads } from '../src/message/answer-head.ts'

// The whole table, written down once more and by hand: a row for each state, a column for each event, `-` for refused.
const EXPECTED = `
                 HEAD_PART REQUEST  REQUEST_WITH_BODY BODY_END    ANSWER          ANSWER_END LAST_ANSWER_END ANSWER_CUT PEER_END    PEER_GONE FINISH    CLOSE
IDLE             HEAD      RECEIVED RECEIVING         -           -               -          -               -          LINGERING   -         LINGERING CLOSED
HEAD             HEAD      RECEIVED RECEIVING         -           -               -          -               -          LINGERING   -         LINGERING CLOSED
RECEIVING        -         -        -                 RECEIVED    ANSWERING_EARLY -          LINGERING       -          LINGERING   -         -         CLOSED
RECEIVED         -         -        -                 -           ANSWERING       -          LINGERING       -          LINGERING   -         -         CLOSED
ANSWERING_EARLY  -         -        -                 ANSWERING   -               DISCARDING LINGERING       CLOSED     HALF_CLOSED LINGERING -         CLOSED
ANSWERING        -         -        -                 -           -               IDLE       LINGERING       CLOSED     HALF_CLOSED LINGERING -         CLOSED
HALF_CLOSED      -         -        -                 HALF_CLOSED -               -          LINGERING       CLOSED     -           -         -         CLOSED
DISCARDING       -         -        -                 IDLE        -               -          -               -          LINGERING   -         LINGERING CLOSED
LINGERING        -         -        -                 -           -               -          -               -          LINGERING   -         -         CLOSED
CLOSED           -         -        -                 -           -               -          -               -          -           -         -         CLOSED
`

const [columns, ...rows] = EXPECTED.trim()
  .split('\n')
  .map(line => line.trim().split(/ +/))
const states = STATE_NAMES.map((_, at) => at as State)
const events = EVENT_NAMES.map((_, at) => at as Event)
const event = (name: string): Event => EVENT_NAMES.indexOf(name as never) as Event

const machineIn = (state: State): HttpMachine => {
  const machine = new HttpMachine(new AnswerHeads(virtualClock()), { body: 1000, headerBytes: 1000 })
  machine.state = state
  return machine
}

const isAllowed = (state: State, each: Event): boolean => machineIn(state).may(each)

const nextState = (state: State, each: Event): State => {
  const machine = machineIn(state)
  machine.step(each)
  return machine.state
}

/** Every state that can be reached from `from`, without `except`. */
const reachable = (from: State, except: readonly Event[] = []): ReadonlySet<State> => {
  const found = new Set<State>([from])
  for (const state of found) for (const each of events) if (!except.includes(each) && isAllowed(state, each)) found.add(nextState(state, each))
  return found
}

describe('transitions', () => {
  test('cover every state and every event', () => {
    expect(columns).toEqual([...EVENT_NAMES])
    expect(rows.map(([state]) => state)).toEqual([...STATE_NAMES])
  })

  for (const [at, [state, ...cells]] of rows.entries()) {
    test(`of ${state} match the table, and every other event is refused`, () => {
      expect(cells).toHaveLength(events.length)
      for (const each of events) {
        const cell = cells[each] as string
        if (cell === '-') {
          expect(isAllowed(at as State, each)).toBe(false)
          const machine = machineIn(at as State)
          expect(() => machine.step(each)).toThrow(`${EVENT_NAMES[each]} must not happen in state ${state}`)
          expect(machine.state).toBe(at)
        } else {
          expect(isAllowed(at as State, each)).toBe(true)
          expect(STATE_NAMES[nextState(at as State, each)]).toBe(cell)
        }
      }
    })
  }

  test('reach every state from IDLE', () => {
    expect(reachable(IDLE).size).toBe(states.length)
  })

  test('lead from every state to CLOSED, and no further', () => {
    for (const state of states) expect(nextState(state, event('CLOSE'))).toBe(CLOSED)
    expect([...reachable(CLOSED)]).toEqual([CLOSED])
  })

  test('start no request before the current one is answered and its body is read', () => {
    for (const state of states) {
      const next = ['IDLE', 'HEAD'].includes(STATE_NAMES[state] as string)
      expect(isAllowed(state, event('REQUEST')), STATE_NAMES[state]).toBe(next)
      expect(isAllowed(state, event('REQUEST_WITH_BODY')), STATE_NAMES[state]).toBe(next)
    }
  })

  test('answer nothing more after a side has ended the connection', () => {
    expect([...reachable(LINGERING)]).toEqual([LINGERING, CLOSED])
    const ended = reachable(STATE_NAMES.indexOf('HALF_CLOSED') as State)
    expect([...ended].filter(state => isAllowed(state, event('ANSWER')))).toEqual([])
  })

  test('begin each answer once, and end it only after it has begun, unless it is the last', () => {
    for (const state of states) {
      if (isAllowed(state, event('ANSWER'))) expect(isAllowed(nextState(state, event('ANSWER')), event('ANSWER'))).toBe(false)
      if (isAllowed(state, event('ANSWER_END'))) expect(isAllowed(state, event('ANSWER_CUT'))).toBe(true)
    }
  })
})
