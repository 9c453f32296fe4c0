import { parsePattern } from '@iopa/transport'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { allowsCompiling, paramsMaker } from '../src/params.ts'
import { routeTable } from '../src/route-table.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

describe.each([true, false])('parameters of a match, compiled: %s,', compile => {
  const make = (pattern: string, path: string, ...spans: [number, number][]): Record<string, string> =>
    paramsMaker(parsePattern(pattern).segments, compile)(
      path,
      spans.map(([start]) => start),
      spans.map(([, end]) => end)
    )

  test('are the named parts of the path, in the order of the pattern', () => {
    const params = make('/{b}/{a}/*', '/1/22/3/4', [1, 2], [3, 5], [6, 9])
    expect(Object.entries(params)).toEqual([
      ['b', '1'],
      ['a', '22'],
      ['*', '3/4']
    ])
  })

  test('inherit nothing, whatever their names', () => {
    const params = make('/{__proto__}/{constructor}', '/x/y', [1, 2], [3, 4])
    expect(Object.entries(params)).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y']
    ])
    for (const name of ['toString', 'hasOwnProperty', 'valueOf']) expect(name in params).toBe(false)
    for (const name of ['constructor', '__proto__']) expect(name in make('/{id}', '/x', [1, 2])).toBe(false)
  })

  test('are one frozen empty object if the pattern has no parameters', () => {
    expect(make('/a', '/a')).toBe(make('/b', '/b'))
    expect(Object.isFrozen(make('/a', '/a'))).toBe(true)
  })
})

test('a route table works where code generation from strings is forbidden', () => {
  vi.stubGlobal('Function', function refuse() {
    throw new EvalError('Code generation from strings disallowed for this context')
  })
  expect(allowsCompiling()).toBe(false)
  const table = routeTable<string>()
  table.add('GET', '/lights/{id}/{part}', 'part')
  expect({ ...table.find('GET', '/lights/hall/level')?.params }).toEqual({ id: 'hall', part: 'level' })
})
