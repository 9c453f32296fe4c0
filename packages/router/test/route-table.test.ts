import { describe, expect, test } from 'vitest'
import { type RouteTable, type RouteTableOptions, routeTable } from '../src/route-table.ts'

const tableOf = (patterns: readonly string[], options: RouteTableOptions = {}): RouteTable<string> => {
  const table = routeTable<string>(options)
  for (const pattern of patterns) table.add('GET', pattern, pattern)
  return table
}
const found = (table: RouteTable<string>, path: string, method = 'GET'): readonly [string, Record<string, string>] | undefined => {
  const match = table.find(method, path)
  return match && [match.route.value, { ...match.params }]
}
const permutations = <T>(list: readonly T[]): T[][] =>
  list.length < 2 ? [[...list]] : list.flatMap((item, i) => permutations([...list.slice(0, i), ...list.slice(i + 1)]).map(rest => [item, ...rest]))

describe('a route table', () => {
  test('finds a static path, a parameter and a tail', () => {
    const table = tableOf(['/', '/lights', '/lights/:id', '/lights/{id}/level', '/files/*', '/docs/{page*}'])
    expect(found(table, '/')).toEqual(['/', {}])
    expect(found(table, '/lights')).toEqual(['/lights', {}])
    expect(found(table, '/lights/hall')).toEqual(['/lights/:id', { id: 'hall' }])
    expect(found(table, '/lights/hall/level')).toEqual(['/lights/{id}/level', { id: 'hall' }])
    expect(found(table, '/files/a/b.txt')).toEqual(['/files/*', { '*': 'a/b.txt' }])
    expect(found(table, '/files/')).toEqual(['/files/*', { '*': '' }])
    expect(found(table, '/docs/a/b')).toEqual(['/docs/{page*}', { page: 'a/b' }])
    for (const path of ['/light', '/lights/hall/leve', '/lights/hall/level/x', '/files', '/nothing', '', 'lights'])
      expect(found(table, path), path).toBeUndefined()
  })

  test('prefers static to constrained to plain parameter to tail, in any order of registration', () => {
    for (const order of permutations(['/a/b', '/a/{n:[0-9]+}', '/a/{id}', '/a/*'])) {
      const table = tableOf(order)
      expect(found(table, '/a/b')?.[0]).toBe('/a/b')
      expect(found(table, '/a/12')?.[0]).toBe('/a/{n:[0-9]+}')
      expect(found(table, '/a/c')?.[0]).toBe('/a/{id}')
      expect(found(table, '/a/b/c')?.[0]).toBe('/a/*')
      expect(found(table, '/a/')?.[0]).toBe('/a/*')
    }
  })

  test('prefers the constraint that allows fewer characters, in any order of registration', () => {
    for (const order of permutations(['/{slug:[a-z0-9-]+}', '/{n:[0-9]+}', '/{any:.+}'])) {
      const table = tableOf(order)
      expect(found(table, '/12')).toEqual(['/{n:[0-9]+}', { n: '12' }])
      expect(found(table, '/a-1')?.[0]).toBe('/{slug:[a-z0-9-]+}')
      expect(found(table, '/A')?.[0]).toBe('/{any:.+}')
    }
  })

  test('backtracks when a more specific branch has no match, and keeps the right parameters', () => {
    const table = tableOf(['/a/b/c', '/a/{x}/d', '/{y}/b/e', '/{y}/{z:[a-z]}/{w}/f', '/*'])
    expect(found(table, '/a/b/c')?.[0]).toBe('/a/b/c')
    expect(found(table, '/a/b/d')).toEqual(['/a/{x}/d', { x: 'b' }])
    expect(found(table, '/a/b/e')).toEqual(['/{y}/b/e', { y: 'a' }])
    expect(found(table, '/a/b/c/f')).toEqual(['/{y}/{z:[a-z]}/{w}/f', { y: 'a', z: 'b', w: 'c' }])
    expect(found(table, '/a/b/x')).toEqual(['/*', { '*': 'a/b/x' }])
  })

  test('decides by the first segment that differs', () => {
    for (const order of permutations(['/{x}/b', '/a/*'])) expect(found(tableOf(order), '/a/b')?.[0]).toBe('/a/*')
    for (const order of permutations(['/{x}/b/c', '/{x:a|b}/{y}/c', '/{x}/*'])) expect(found(tableOf(order), '/a/b/c')?.[0]).toBe('/{x:a|b}/{y}/c')
  })

  test('backtracks to a less specific pattern that has the method', () => {
    const table = routeTable<string>()
    table.add('GET', '/users/me', 'me')
    table.add('PUT', '/users/{id}', 'put')
    table.add(undefined, '/users/*', 'all')
    expect(found(table, '/users/me')).toEqual(['me', {}])
    expect(found(table, '/users/me', 'PUT')).toEqual(['put', { id: 'me' }])
    expect(found(table, '/users/me', 'POST')).toEqual(['all', { '*': 'me' }])
  })

  test('answers any method name, also names of object members', () => {
    const table = routeTable<string>()
    for (const method of ['DATA', 'iPATCH', '__proto__', 'constructor', 'x y']) table.add(method, '/a', method)
    for (const method of ['DATA', 'iPATCH', '__proto__', 'constructor', 'x y']) expect(found(table, '/a', method)?.[0]).toBe(method)
    for (const method of ['GET', 'data', 'toString', 'hasOwnProperty']) expect(found(table, '/a', method)).toBeUndefined()
  })

  test('prefers the route of the method to the route for all methods on a pattern', () => {
    const table = routeTable<string>()
    table.add(undefined, '/a', 'all')
    table.add('GET', '/a', 'get')
    expect(found(table, '/a')?.[0]).toBe('get')
    expect(found(table, '/a', 'PUT')?.[0]).toBe('all')
  })

  test('lists the methods of all patterns that match a path', () => {
    const table = routeTable<string>()
    table.add('GET', '/users/me', '')
    table.add('PUT', '/users/{id}', '')
    table.add('DELETE', '/users/{n:[0-9]+}', '')
    table.add('POST', '/users', '')
    table.add('TRACE', '/*', '')
    expect(table.methods('/users/me')).toEqual(['GET', 'PUT', 'TRACE'])
    expect(table.methods('/users/12')).toEqual(['DELETE', 'PUT', 'TRACE'])
    expect(table.methods('/users')).toEqual(['POST', 'TRACE'])
    expect(tableOf(['/a']).methods('/b')).toEqual([])
  })

  test('lists the same methods before and after a lookup, and after a route was added', () => {
    const table = tableOf(['/a/{id}'])
    expect(table.find('PUT', '/a/1')).toBeUndefined()
    expect(table.methods('/a/1')).toEqual(['GET'])
    expect(table.find('PUT', '/b')).toBeUndefined()
    expect(table.methods('/b')).toEqual([])
    table.add('GET', '/b', '')
    expect(table.methods('/b')).toEqual(['GET'])
  })

  test('never matches a parameter with an empty segment', () => {
    const table = tableOf(['/a/{id}', '/a/{id}/b', '/{x:.*}/c'])
    for (const path of ['/a/', '/a//b', '//c', '//', '/']) expect(found(table, path), path).toBeUndefined()
  })

  test('distinguishes /a and /a/', () => {
    const table = tableOf(['/a', '/b/', '/c/{id}', '/d/{id}/'])
    expect(found(table, '/a/')).toBeUndefined()
    expect(found(table, '/b')).toBeUndefined()
    expect(found(table, '/b/')?.[0]).toBe('/b/')
    expect(found(table, '/c/1/')).toBeUndefined()
    expect(found(table, '/d/1')).toBeUndefined()
    expect(found(table, '/d/1/')).toEqual(['/d/{id}/', { id: '1' }])
  })

  test('routes /a and /a/ to the same route with trailingSlash: ignore, and lets a tail be empty', () => {
    const table = tableOf(['/', '/a', '/b/', '/c/{id}', '/d/{id}/', '/files/*'], { trailingSlash: 'ignore' })
    for (const path of ['/a', '/a/', '/b', '/b/', '/c/1', '/c/1/', '/d/1', '/d/1/', '/files/', '/files', '/'])
      expect(found(table, path), path).toBeDefined()
    expect(found(table, '/c/1/')).toEqual(['/c/{id}', { id: '1' }])
    expect(found(table, '/files')).toEqual(['/files/*', { '*': '' }])
    expect(found(table, '/files/')).toEqual(['/files/*', { '*': '' }])
    expect(found(table, '/files/x/')).toEqual(['/files/*', { '*': 'x/' }])
    expect(() => table.add('GET', '/a/', '')).toThrow('matches the same paths as GET /a')
  })

  test('fills optional segments from the left', () => {
    const table = tableOf(['/a/{x}?/{y}?', '/{lang:en|de}?/lights', '/z/{rest*}?'])
    expect(found(table, '/a')).toEqual(['/a/{x}?/{y}?', {}])
    expect(found(table, '/a/1')).toEqual(['/a/{x}?/{y}?', { x: '1' }])
    expect(found(table, '/a/1/2')).toEqual(['/a/{x}?/{y}?', { x: '1', y: '2' }])
    expect(found(table, '/lights')).toEqual(['/{lang:en|de}?/lights', {}])
    expect(found(table, '/en/lights')).toEqual(['/{lang:en|de}?/lights', { lang: 'en' }])
    expect(found(table, '/fr/lights')).toBeUndefined()
    expect(found(table, '/z')).toEqual(['/z/{rest*}?', {}])
    expect(found(table, '/z/1/2')).toEqual(['/z/{rest*}?', { rest: '1/2' }])
  })

  test('compares text exactly: decoded and case-sensitive', () => {
    const table = tableOf(['/grün', '/Foo_(bar)', '/{id}'])
    expect(found(table, '/grün')?.[0]).toBe('/grün')
    expect(found(table, '/gr%C3%BCn')).toEqual(['/{id}', { id: 'gr%C3%BCn' }])
    expect(found(table, '/foo_(bar)')?.[0]).toBe('/{id}')
    expect(found(table, '/100%')).toEqual(['/{id}', { id: '100%' }])
  })

  test('matches nothing that does not begin with a slash', () => {
    for (const table of [tableOf(['/', '/{id}', '/*']), tableOf(['/', '/{id}', '/*'], { trailingSlash: 'ignore' })]) {
      for (const path of ['', '*', 'a', 'a/b']) {
        expect(found(table, path), path).toBeUndefined()
        expect(table.methods(path), path).toEqual([])
      }
    }
  })

  test('accepts routes after lookups', () => {
    const table = tableOf(['/{id}'])
    expect(found(table, '/a')?.[0]).toBe('/{id}')
    table.add('GET', '/a', 'static')
    table.add('GET', '/{n:[0-9]+}', 'number')
    expect(found(table, '/a')?.[0]).toBe('static')
    expect(found(table, '/7')?.[0]).toBe('number')
  })

  test('finds each of many siblings', () => {
    const names = Array.from({ length: 300 }, (_, i) => `s${i.toString(36)}`)
    const table = tableOf(names.flatMap(name => [`/${name}`, `/${name}/{id}`, `/${name}/x/${name}`]))
    for (const name of names) {
      expect(found(table, `/${name}`)?.[0]).toBe(`/${name}`)
      expect(found(table, `/${name}/7`)?.[0]).toBe(`/${name}/{id}`)
      expect(found(table, `/${name}/x/${name}`)?.[0]).toBe(`/${name}/x/${name}`)
    }
  })

  describe('refuses a second route for a method and shape, with both places:', () => {
    test.each([
      ['/a', '/a'],
      ['/a/{id}', '/a/:other'],
      ['/a/{id:[0-9]+}', '/a/{n:[0-9]+}'],
      ['/a/*', '/a/{rest*}'],
      ['/a/{id}?', '/a'],
      ['/a', '/a/{id}?'],
      ['/a/{x}?/{y}', '/a/{z}']
    ])('%s and %s', (one, two) => {
      const table = routeTable<string>()
      table.add('GET', one, '', () => 'app.ts:1')
      table.add('PUT', two, '', () => 'app.ts:2')
      expect(() => table.add('GET', two, '', () => 'app.ts:3')).toThrow(
        `The route GET ${two} (app.ts:3) matches the same paths as GET ${one} (app.ts:1)`
      )
    })

    test('all methods twice', () => {
      const table = routeTable<string>()
      table.add(undefined, '/a', '')
      expect(() => table.add(undefined, '/a', '')).toThrow('all methods /a')
    })

    test('and adds nothing of the refused one', () => {
      const table = tableOf(['/a/b'])
      expect(() => table.add('GET', '/a/b/{id}?', 'later')).toThrow('/a/b')
      expect(found(table, '/a/b/1')).toBeUndefined()
      expect(table.routes).toHaveLength(1)
    })

    test('but accepts different constraints', () => {
      expect(tableOf(['/a/{id:[0-9]+}', '/a/{id:[a-z]+}', '/a/{id}']).routes).toHaveLength(3)
    })
  })

  describe('bounds its matches:', () => {
    const table = tableOf(['/files/*', '/{id}', '/c/{id:x+}'])

    test('no parameter has more than 1,024 characters', () => {
      expect(found(table, `/${'x'.repeat(1024)}`)?.[0]).toBe('/{id}')
      expect(found(table, `/${'x'.repeat(1025)}`)).toBeUndefined()
      expect(found(table, `/c/${'x'.repeat(1025)}`)).toBeUndefined()
    })

    test('a tail takes no path of more than 64 segments or with a longer segment', () => {
      expect(found(table, `/files${'/abc'.repeat(63)}`)?.[0]).toBe('/files/*')
      expect(found(table, `/files${'/abc'.repeat(64)}`)).toBeUndefined()
      expect(found(table, `/files${'/'.repeat(10_000)}`)).toBeUndefined()
      expect(found(table, `/files/${'x'.repeat(1024)}/a`)?.[0]).toBe('/files/*')
      expect(found(table, `/files/${'x'.repeat(1025)}/a`)).toBeUndefined()
    })

    test('a path of a million segments takes no noticeable time', () => {
      const path = `/files${'/a'.repeat(1_000_000)}`
      // Processor time, in microseconds: other programs of the machine take none of it.
      const start = process.cpuUsage()
      expect(found(table, path)).toBeUndefined()
      expect(process.cpuUsage(start).user).toBeLessThan(100_000)
    })
  })

  test('returns parameters without inherited members and with any name', () => {
    const match = tableOf(['/{__proto__}/{constructor}/{toString}']).find('GET', '/a/b/c')!
    expect(Object.keys(match.params)).toEqual(['__proto__', 'constructor', 'toString'])
    expect(Object.values(match.params)).toEqual(['a', 'b', 'c'])
    const params = tableOf(['/{id}']).find('GET', '/a')!.params
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) expect(name in params, name).toBe(false)
    expect(JSON.stringify(params)).toBe('{"id":"a"}')
    expect({ ...params }).toEqual({ id: 'a' })
    const none = tableOf(['/a']).find('GET', '/a')!.params
    expect('toString' in none).toBe(false)
  })

  test('keeps the results of different lookups separate', () => {
    const table = tableOf(['/{a}/{b}', '/{a}/{b}/{c}'])
    const one = table.find('GET', '/1/2')!
    const two = table.find('GET', '/3/4/5')!
    expect([{ ...one.params }, { ...two.params }]).toEqual([
      { a: '1', b: '2' },
      { a: '3', b: '4', c: '5' }
    ])
  })
})
