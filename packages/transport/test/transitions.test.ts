import { describe, expect, test } from 'vitest'
import { compileTransitions, REFUSED } from '../src/machine/transitions.ts'

describe('compileTransitions', () => {
  test('numbers the states by the order of their names, and refuses what the table does not list', () => {
    const table = compileTransitions(['OFF', 'ON'], ['PRESS', 'BREAK'], { OFF: { PRESS: 'ON' }, ON: { PRESS: 'OFF', BREAK: 'OFF' } })
    expect([...table]).toEqual([1, REFUSED, 0, 0])
  })
})
