import { describe, expect, test } from 'vitest'
import { bench, endpoint, request } from './environment.ts'

describe('a context', () => {
  test('has the same own keys in the same order for every transport and for a promoted bag', () => {
    const { factory } = bench()
    const one = Object.keys(request(factory))
    expect(Object.keys(factory.promote({ 'iopa.Path': '/b', 'iopa.Method': 'PUT' }))).toEqual(one)
    expect(Object.keys(request(factory, '/a', null, request(factory, '/', null, null, 'CONNECT')))).toEqual(one)
  })

  test('has no Object.prototype, so that a hostile key is an ordinary key', () => {
    const context = request(bench().factory) as unknown as Record<string, unknown>
    const before = Object.getPrototypeOf(context)
    context['__proto__'] = { polluted: true }
    expect(Object.getPrototypeOf(context)).toBe(before)
    expect(context['polluted']).toBeUndefined()
    expect(`${context}`).toBe('GET /a')
  })

  test('mirrors its keys live in its aliases, both ways', () => {
    const context = request(bench().factory)
    context['iopa.Method'] = 'PUT'
    context.path = '/b'
    expect([context.method, context['iopa.Path'], context.segments]).toEqual(['PUT', '/b', ['b']])
    context['server.User'] = { id: 'ann' }
    expect(context.user).toEqual({ id: 'ann' })
    expect(context.query.get('x')).toBe('1')
    expect([context.scheme, context.protocol, context.host, context.port, context.remoteAddress]).toEqual([
      'http',
      'HTTP/1.1',
      '192.0.2.2',
      8080,
      '192.0.2.1'
    ])
  })

  test('reads headers, body, authority and content type only when asked', () => {
    const asked: string[] = []
    const source = {
      headers: () => (asked.push('headers'), ['Content-Type', 'application/json']),
      body: () => (asked.push('body'), new Uint8Array(2)),
      authority: () => (asked.push('authority'), '[::1]:81')
    }
    const context = request(bench().factory, '/a', source)
    const bytesOf = ({ body }: { readonly body: unknown }): number[] => [...(body as Uint8Array)]
    expect(asked).toEqual([])
    expect([context.type, context.host, context.port, bytesOf(context), bytesOf(context)]).toEqual(['application/json', '::1', 81, [0, 0], [0, 0]])
    expect(asked).toEqual(['headers', 'authority', 'body'])
  })

  test('splits its path again after a change, and has no segments at the root', () => {
    const context = request(bench().factory, '/a/b/')
    expect(context.segments).toEqual(['a', 'b', ''])
    context['iopa.Path'] = '/'
    expect(context.segments).toEqual([])
  })

  test('copies capabilities two levels deep when they are asked for', () => {
    const { factory, environment } = bench()
    const context = request(factory)
    context['server.Capabilities']['urn:io.iopa:app'] = { version: 'x' }
    const other = request(factory)
    ;(other['server.Capabilities']['urn:io.iopa:app'] as Record<string, unknown>)['version'] = 'y'
    const deep = (other['server.Capabilities']['urn:io.iopa:app'] as { deep: { shared: number } }).deep
    deep.shared = 2
    expect(environment.capabilities).toEqual({ 'urn:io.iopa:app': { version: '5.0', deep: { shared: 2 } } })
    expect(context.response['server.Capabilities']).toBe(context['server.Capabilities'])
  })

  test('inherits what middleware has set on its connection, read-only', () => {
    const { factory } = bench()
    const connection = request(factory, '/', null, null, 'CONNECT') as unknown as Record<string, unknown>
    connection['server.User'] = { id: 'ann' }
    connection['acme.Tenant'] = 't1'
    const inner = request(factory, '/a', null, connection as never) as unknown as Record<string, unknown>
    expect([inner['server.User'], inner['acme.Tenant'], inner['connection']]).toEqual([{ id: 'ann' }, 't1', connection])
    inner['acme.Tenant'] = 't2'
    expect(connection['acme.Tenant']).toBe('t1')
    expect((request(factory) as unknown as Record<string, unknown>)['acme.Tenant']).toBeUndefined()
  })

  test('inherits also what is set on the connection after its first request, while the pipeline of the connection runs', () => {
    const { factory } = bench()
    const connection = request(factory, '/', null, null, 'CONNECT') as unknown as Record<string, unknown>
    request(factory, '/a', null, connection as never)
    connection['acme.Tenant'] = 't1'
    expect((request(factory, '/b', null, connection as never) as unknown as Record<string, unknown>)['acme.Tenant']).toBe('t1')
  })

  test('does not hand extension keys of a request on to its children, only its user', () => {
    const { factory } = bench()
    const parent = request(factory)
    parent.user = { id: 'ann' }
    ;(parent as unknown as Record<string, unknown>)['acme.Trace'] = 'x'
    const child = parent.child('b')
    expect([child.user, (child as unknown as Record<string, unknown>)['acme.Trace']]).toEqual([{ id: 'ann' }, undefined])
  })

  test('makes children whose path follows its own', () => {
    const parent = request(bench().factory, '/lights/')
    expect([parent.child('/hall').path, parent.child('hall', 'PUT').method, parent.child('').path]).toEqual(['/lights/hall', 'PUT', '/lights'])
    const child = parent.child('hall')
    expect([child.scheme, child.host, child.port, child['server.SessionId'], child['server.ParentContext'], child.endpoint]).toEqual([
      'http',
      '192.0.2.2',
      8080,
      's1',
      parent,
      endpoint
    ])
    expect(() => parent.child('../x')).toThrow(/segment/)
  })

  test('rebuilds its URL, encoded', () => {
    const context = request(bench().factory, '/ä b/c', { authority: () => 'example.com' })
    context.pathBase = '/base'
    expect(context.url).toBe('http://example.com/base/%C3%A4%20b/c?x=1')
  })

  test('prints itself without headers, bodies or extension keys', () => {
    const context = request(bench().factory, '/a', { headers: () => ['authorization', 'secret'] })
    ;(context as unknown as Record<string, unknown>)['acme.Secret'] = 'secret'
    expect(JSON.stringify(context)).not.toContain('secret')
    expect(JSON.parse(JSON.stringify(context))['iopa.Path']).toBe('/a')
  })

  test('counts while it lives', () => {
    const { factory } = bench()
    const one = request(factory)
    const two = one.child('x')
    expect(factory.live).toBe(2)
    void one.end()
    void two.end()
    expect(factory.live).toBe(0)
  })

  test('refuses to act after it has ended', async () => {
    const context = request(bench().factory)
    await context.end('disconnect')
    expect(() => context.child('x')).toThrow(/ended \(disconnect\)/)
    expect(() => context.notify('/x')).toThrow(/ended/)
    await expect(context.bytes().catch(error => Promise.reject(error))).rejects.toThrow(/ended/)
  })

  test('promotes a bag with its keys, and takes a value as body', async () => {
    const context = bench().factory.promote({
      'iopa.Method': 'PUT',
      'iopa.Path': '/a',
      'iopa.Headers': { 'X-A': ['1', '2'] },
      'iopa.Body': { on: true },
      'server.User': { id: 'ann' }
    })
    expect([context.type, context.headers.getAll('x-a'), context.user, await context.json()]).toEqual([
      'application/json',
      ['1', '2'],
      { id: 'ann' },
      { on: true }
    ])
    expect(() => bench().factory.promote({ 'iopa.Path': '/a?b' })).toThrow(/QueryString/)
  })
})
