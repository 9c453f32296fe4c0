import { App, type Context, type Transport } from '@iopa/appbuilder'
import type { OwnedContext } from '@iopa/context/host'
import { bodyBudget, type Host } from '@iopa/transport'
import { describe, expect, test } from 'vitest'

const KIB = 1024

/** A request with a body in memory, from an address. */
const requestOf = (host: Host, remoteAddress: string, size: number): Context =>
  host.create({
    method: 'PUT',
    path: '/',
    query: '',
    rawPath: '/',
    endpoint: {
      scheme: 'test',
      protocol: 'TEST/1',
      remoteAddress,
      remotePort: 1,
      localAddress: '',
      localPort: 0,
      tls: false,
      sessionId: '',
      rawTransport: null,
      bodyLimit: 10_000 * KIB
    },
    source: { body: () => new Uint8Array(size) }
  } as never)

describe('the budget of bodies in memory', () => {
  const transport: Transport = {
    name: 'test',
    schemes: ['test'],
    bodies: limit => bodyBudget(limit),
    listen: () => Promise.reject(new Error('not here')),
    open: () => Promise.reject(new Error('not here'))
  }
  const appWith = (bodyMemory: number): Host => new App({ logger: false, limits: { bodyMemory } }).use(transport).host()

  test('refuses bodies over the limit with 503, until a request has ended', async () => {
    const host = appWith(1000 * KIB)
    const first = requestOf(host, '127.0.0.1', 900 * KIB)
    await first.bytes()
    const second = requestOf(host, '127.0.0.1', 200 * KIB)
    await expect(second.bytes()).rejects.toMatchObject({ status: 503, code: 'bodies-in-memory' })
    await (first as OwnedContext).end()
    expect((await requestOf(host, '127.0.0.1', 200 * KIB).bytes()).length).toBe(200 * KIB)
  })

  test('counts more for a body that is read as text or as a value', async () => {
    const host = appWith(250 * KIB)
    const context = requestOf(host, '127.0.0.1', 200 * KIB)
    await context.bytes()
    await expect(context.text()).rejects.toMatchObject({ status: 503 })
  })

  test('leaves half of the room to other users', async () => {
    const host = appWith(1000 * KIB)
    const held: Context[] = []
    const hold = async (address: string, size: number, user?: string): Promise<Context> => {
      const context = requestOf(host, address, size)
      if (user !== undefined) context.user = { id: user }
      await context.bytes()
      held.push(context)
      return context
    }
    while (held.length < 20) {
      if ((await hold('192.0.2.1', 50 * KIB).catch(() => null)) === null) break
    }
    expect(held.length).toBe(10)
    // Another address, and a user from the same address, have their own share.
    await hold('192.0.2.2', 100 * KIB)
    await hold('192.0.2.1', 100 * KIB, 'ann')
    await expect(hold('192.0.2.1', 50 * KIB, 'ann')).rejects.toMatchObject({ status: 503 })
    // A network of IPv6 is one peer.
    await hold('2001:db8:0:1::1', 100 * KIB)
    await expect(hold('2001:db8:0:1:aaaa::2', 50 * KIB)).rejects.toMatchObject({ status: 503 })
    await hold('2001:db8:0:2::1', 100 * KIB)
  })

  test('does not count small bodies', async () => {
    const host = appWith(20 * KIB)
    for (let n = 0; n < 10; n++) expect((await requestOf(host, '192.0.2.1', 16 * KIB).bytes()).length).toBe(16 * KIB)
  })

  test('is a quarter of the heap, unless limits.bodyMemory is set', () => {
    const fits = (limit: number, bytes: number, heap?: number): boolean => bodyBudget(limit, heap).hasRoom('', bytes)
    const [none, heap] = [Number.POSITIVE_INFINITY, 64 * KIB * KIB]
    expect([fits(none, heap / 4, heap), fits(none, heap / 4 + 1, heap)]).toEqual([true, false])
    expect([fits(5000, 5000, heap), fits(5000, 5001, heap)]).toEqual([true, false])
    expect([fits(none, 256 * KIB * KIB), fits(none, 257 * KIB * KIB)]).toEqual([true, false])
  })

  test('applies to the app, not to a listener', () => {
    expect(() => appWith(1000).withLimits({ bodyMemory: 5 })).toThrow(/one of the whole app/)
  })
})
