import { describe, expect, test } from 'vitest'
import { framingOf } from '../src/framing-option.ts'
import { TcpMachine } from '../src/machine/tcp-machine.ts'
import { CLOSED, EVENT_NAMES, type Event, READING, STATE_NAMES, type State } from '../src/machine/transitions.ts'

// The whole table, written down once more and by hand: a row for each state, a column for each event, `-` for refused.
const EXPECTED = `
           PEER_END  READ_OUT STOP    FAULT  FINISH    CLOSE
READING    DRAINING  -        STOPPED BROKEN FINISHING CLOSED
DRAINING   -         STOPPED  STOPPED BROKEN FINISHING CLOSED
STOPPED    STOPPED   -        STOPPED BROKEN FINISHING CLOSED
BROKEN     BROKEN    -        BROKEN  -      FINISHING CLOSED
FINISHING  FINISHING -        -       -      -         CLOSED
CLOSED     -         -        -       -      -         -
`

const [columns, ...rows] = EXPECTED.trim()
  .split('\n')
  .map(line => line.trim().split(/ +/))
const events = EVENT_NAMES.map((_, at) => at as Event)

const machineIn = (state: State): TcpMachine => {
  const machine = new TcpMachine(framingOf('lines').reader(100))
  machine.state = state
  return machine
}

describe('transitions', () => {
  test('cover every state and every event', () => {
    expect(columns).toEqual([...EVENT_NAMES])
    expect(rows.map(([state]) => state)).toEqual([...STATE_NAMES])
  })

  for (const [at, [state, ...cells]] of rows.entries()) {
    test(`of ${state} match the table, and every other event is refused`, () => {
      expect(cells).toHaveLength(events.length)
      for (const event of events) {
        const machine = machineIn(at as State)
        const cell = cells[event] as string
        expect(machine.may(event)).toBe(cell !== '-')
        if (cell === '-') expect(() => machine.step(event)).toThrow(`${EVENT_NAMES[event]} must not happen in state ${state}`)
        else machine.step(event)
        expect(STATE_NAMES[machine.state]).toBe(cell === '-' ? state : cell)
      }
    })
  }

  test('reach every state from READING, and end in CLOSED', () => {
    const found = new Set<State>([READING])
    for (const state of found)
      for (const event of events) {
        const machine = machineIn(state)
        if (!machine.may(event)) continue
        machine.step(event)
        found.add(machine.state)
      }
    expect(found.size).toBe(STATE_NAMES.length)
    for (const event of events) expect(machineIn(CLOSED).may(event)).toBe(false)
  })
})
