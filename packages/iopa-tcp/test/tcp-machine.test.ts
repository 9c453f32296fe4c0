import { describe, expect, test } from 'vitest'
import { type FramingOption, framingOf } from '../src/framing-option.ts'
import { TcpMachine } from '../src/machine/tcp-machine.ts'
import { FAULT, PEER_END, STATE_NAMES } from '../src/machine/transitions.ts'

const make = (framing: FramingOption = 'lines'): TcpMachine => new TcpMachine(framingOf(framing).reader(10))
const stateOf = (machine: TcpMachine): string => STATE_NAMES[machine.state]

const receive = (machine: TcpMachine, ...chunks: string[]): void => {
  for (const chunk of chunks) machine.receive(Buffer.from(chunk))
}

/** All frames that can be read now. */
const frames = (machine: TcpMachine): string[] => {
  const read: string[] = []
  for (let frame = machine.next(); frame !== null; frame = machine.next()) read.push(Buffer.from(frame).toString())
  return read
}

describe('a TCP machine', () => {
  test('returns the frames of all chunks, however they are cut', () => {
    const machine = make()
    receive(machine, 'a\nb', 'c', '\nd\ne')
    expect(frames(machine)).toEqual(['a', 'bc', 'd'])
    expect([machine.frames, machine.pending, machine.empty, stateOf(machine)]).toEqual([3, 1, true, 'READING'])
  })

  test('returns everything before the end of the peer, and an incomplete last line', () => {
    const machine = make()
    receive(machine, 'a\n', 'b')
    machine.step(PEER_END)
    expect(stateOf(machine)).toBe('DRAINING')
    expect(frames(machine)).toEqual(['a', 'b'])
    expect(stateOf(machine)).toBe('STOPPED')
  })

  test('throws for a frame that the end of the peer cuts off', () => {
    const machine = make('lengthPrefixed')
    receive(machine, '\0\0\0\x05ab')
    machine.step(PEER_END)
    expect(() => machine.next()).toThrow(/ended within a message/)
    machine.step(FAULT)
    expect(stateOf(machine)).toBe('BROKEN')
  })

  test('throws for a frame over the limit', () => {
    const machine = make()
    receive(machine, '0123456789ab\n')
    expect(() => machine.next()).toThrow(/at most 10 bytes/)
  })

  test('reads and keeps nothing after an error', () => {
    const machine = make()
    receive(machine, 'a\n', 'b\n')
    expect(machine.next()?.length).toBe(1)
    machine.step(FAULT)
    receive(machine, 'c\n')
    expect([frames(machine), machine.empty]).toEqual([[], true])
  })
})
