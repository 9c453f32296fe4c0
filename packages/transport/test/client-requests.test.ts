import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { connected, FakePeer, state, unreachable } from './fake-links.ts'

const rejection = (work: Promise<unknown>): Promise<{ readonly status: number; readonly code: string; readonly message: string }> =>
  work.then(
    () => Promise.reject(new Error('it resolves')),
    error => error
  )

describe('connect', () => {
  test('rejects with 502 connect-failed if the link cannot be opened, and with 504 after the timeout', async () => {
    const peer = new FakePeer()
    peer.opening = unreachable
    expect(await rejection(connected(peer))).toMatchObject({ status: 502, code: 'connect-failed', message: 'Cannot connect to host:7.' })
    let given: AbortSignal | undefined
    peer.opening = signal => {
      given = signal
      return new Promise(() => undefined)
    }
    const clock = (await import('@iopa/testing')).virtualClock()
    const late = rejection(connected(peer, { timeout: 1000, clock }))
    await clock.advance(1000)
    expect(await late).toMatchObject({ status: 504, code: 'timeout' })
    expect(given?.aborted).toBe(true)
  })

  test('rejects with the reason of its signal, and closes a link that opens too late', async () => {
    const peer = new FakePeer()
    let open: () => void = () => undefined
    peer.opening = () =>
      new Promise(resolve => {
        open = resolve
      })
    const stop = new AbortController()
    const connecting = connected(peer, { signal: stop.signal }).catch((error: unknown) => error)
    await state(connecting)
    const reason = new Error('enough')
    stop.abort(reason)
    expect(await connecting).toBe(reason)
    open()
    await state(Promise.resolve())
    expect(peer.links[0]?.isClosed).toBe(true)
  })
})

describe('a request', () => {
  test('rejects with 504 after the timeout, aborts its link request, and leaves the link open', async () => {
    const peer = new FakePeer()
    const { client, clock } = await connected(peer, { timeout: 1000 })
    const waiting = rejection(client.get('/x'))
    await clock.settle()
    expect(peer.last.signal.aborted).toBe(false)
    await clock.advance(999)
    expect(await state(waiting)).toBe('waits')
    await clock.advance(1)
    expect(await waiting).toMatchObject({ status: 504, code: 'timeout', message: 'The peer has not answered within 1000 ms.' })
    expect(peer.last.signal.aborted).toBe(true)
    const next = client.get('/y')
    await clock.settle()
    peer.last.answer()
    expect(await (await next).text()).toBe('/y')
    expect([peer.links.length, clock.pending]).toEqual([1, 0])
  })

  test('rejects at once with the reason of its signal, even if the link ignores it', async () => {
    const peer = new FakePeer()
    const { client, clock } = await connected(peer)
    const stop = new AbortController()
    const waiting = client.put('/x', 'y', { signal: stop.signal }).catch((error: unknown) => error)
    await clock.settle()
    stop.abort('enough')
    expect(await waiting).toBe('enough')
    expect(peer.last.signal.aborted).toBe(true)
  })

  test('rejects with 502 disconnected when its link is lost, and the next request opens another link', async () => {
    const peer = new FakePeer()
    const { client, clock } = await connected(peer)
    const waiting = [client.get('/a'), client.post('/b', 'x')].map(rejection)
    await clock.settle()
    peer.links[0]?.lose()
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ status: 502, code: 'disconnected' })
    peer.handle = asked => asked.answer()
    expect(await Promise.all(['/c', '/d'].map(async path => (await client.get(path)).text()))).toEqual(['/c', '/d'])
    expect(peer.links.length).toBe(2)
  })

  test('is retried if it is idempotent and was not sent, at most three times', async () => {
    const peer = new FakePeer()
    const { client } = await connected(peer)
    peer.handle = asked => (peer.asked.length < 3 ? asked.link.lose(false) : asked.answer())
    expect((await client.put('/x', 'y')).status).toBe(200)
    expect([peer.asked.length, peer.links.length]).toEqual([3, 3])
    peer.handle = asked => asked.link.lose(false)
    expect(await rejection(client.get('/x'))).toMatchObject({ code: 'disconnected' })
    expect(peer.asked.length).toBe(6)
    expect(await rejection(client.post('/x', 'y'))).toMatchObject({ code: 'disconnected' })
    expect(peer.asked.length).toBe(7)
    peer.handle = asked => asked.link.lose(true)
    expect(await rejection(client.get('/x'))).toMatchObject({ code: 'disconnected' })
    expect(peer.asked.length).toBe(8)
  })

  test('rejects with 503 overloaded over limits.inFlight, on every kind of link', async () => {
    for (const concurrency of [1, Number.POSITIVE_INFINITY]) {
      const peer = new FakePeer(concurrency)
      const { client, clock } = await connected(peer, { limits: { inFlight: 2 }, maxLinks: 1 })
      const first = [client.get('/1'), client.get('/2')]
      expect(await rejection(client.get('/3'))).toMatchObject({ status: 503, code: 'overloaded' })
      peer.handle = asked => asked.answer()
      await clock.settle()
      peer.asked[0]?.answer()
      await clock.settle()
      peer.asked[1]?.answer()
      expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200])
      expect((await client.get('/4')).status).toBe(200)
    }
  })

  test('rejects with 503 closed when its client closes, and what is asked afterwards', async () => {
    const peer = new FakePeer(1)
    const { client, clock } = await connected(peer, { maxLinks: 1 })
    const waiting = [client.get('/1'), client.get('/2')].map(rejection)
    await clock.settle()
    await client.close()
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ status: 503, code: 'closed' })
    expect(await rejection(client.get('/3'))).toMatchObject({ status: 503, code: 'closed' })
    expect([peer.links[0]?.isClosed, peer.asked.length, clock.pending]).toEqual([true, 1, 0])
  })

  test('leaves no listener and no timer behind', async () => {
    const peer = new FakePeer()
    peer.handle = asked => asked.answer()
    const { client, clock } = await connected(peer)
    const { signal } = new AbortController()
    await client.get('/x', { signal })
    expect([getEventListeners(signal, 'abort').length, clock.pending]).toEqual([0, 0])
  })

  test('cancels a streamed body that it does not send', async () => {
    const peer = new FakePeer()
    const { client, clock } = await connected(peer)
    let returned = 0
    const body = () => ({
      next: () => new Promise<never>(() => undefined),
      return: async () => {
        returned++
        return { done: true as const, value: undefined }
      },
      [Symbol.asyncIterator]() {
        return this
      }
    })
    const stop = new AbortController()
    const waiting = client.put('/x', body(), { signal: stop.signal }).catch((error: unknown) => error)
    await clock.settle()
    stop.abort('enough')
    expect(await waiting).toBe('enough')
    expect(returned).toBeGreaterThan(0)
  })
})

describe('the links of a client', () => {
  test('are as many as requests need if each carries one, up to maxLinks; further requests wait', async () => {
    const peer = new FakePeer(1)
    const { client, clock } = await connected(peer, { maxLinks: 3 })
    const all = ['/1', '/2', '/3', '/4', '/5'].map(async path => (await client.get(path)).text())
    await clock.settle()
    expect([peer.links.length, peer.asked.length]).toEqual([3, 3])
    peer.handle = asked => asked.answer()
    peer.asked[0]?.answer()
    peer.asked[1]?.answer()
    peer.asked[2]?.answer()
    expect(await Promise.all(all)).toEqual(['/1', '/2', '/3', '/4', '/5'])
    expect([peer.links.length, peer.asked.length]).toEqual([3, 5])
  })

  test('are closed when idle, at the time of the peer or after limits.idleTimeout', async () => {
    const peer = new FakePeer(1)
    peer.handle = asked => asked.answer()
    const { client, clock } = await connected(peer, { limits: { idleTimeout: 10_000 } })
    await Promise.all([client.get('/1'), client.get('/2')])
    const [first, second] = peer.links
    first!.idleTimeout = 2000
    await client.get('/3')
    await client.get('/4')
    await clock.advance(9_999)
    expect(second?.isClosed).toBe(false)
    await clock.advance(1)
    expect([first?.isClosed, second?.isClosed, clock.pending]).toEqual([true, true, 0])
    expect((await client.get('/5')).status).toBe(200)
    expect(peer.links.length).toBe(3)
  })

  test('are opened once for all waiting requests, if one carries any number', async () => {
    const peer = new FakePeer()
    const { client } = await connected(peer)
    peer.links[0]?.lose()
    await state(Promise.resolve())
    peer.opening = unreachable
    const failed = await Promise.all(['/1', '/2', '/3'].map(path => rejection(client.get(path))))
    expect(failed.map(({ code }) => code)).toEqual(['connect-failed', 'connect-failed', 'connect-failed'])
    expect(peer.opened).toBe(2)
  })

  test('are not opened when nothing waits for them', async () => {
    const peer = new FakePeer()
    const { client } = await connected(peer)
    peer.links[0]?.lose()
    await state(Promise.resolve())
    let given: AbortSignal | undefined
    peer.opening = signal => {
      given = signal
      return new Promise(() => undefined)
    }
    const stop = new AbortController()
    const waiting = client.get('/1', { signal: stop.signal }).catch((error: unknown) => error)
    await state(waiting)
    stop.abort('enough')
    expect(await waiting).toBe('enough')
    expect(given?.aborted).toBe(true)
    peer.opening = null
    peer.handle = asked => asked.answer()
    expect((await client.get('/2')).status).toBe(200)
  })
})
