import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { eventually, gate, Peer, serve } from './support.ts'

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
const connected = (peer: Peer): Promise<unknown> => new Promise(resolve => peer.socket.once('connect', resolve))

/** Lets what is on its way over loopback arrive. */
const arrive = (): Promise<unknown> => new Promise(resolve => setTimeout(resolve, 20))

describe('http limits the time', () => {
  test('for the first header, and drops a client that has sent nothing', async () => {
    const clock = virtualClock()
    const { port } = await serve(() => 'x', { clock })
    const peer = new Peer(port)
    await connected(peer)
    await arrive()
    await clock.advance(9000)
    expect(peer.closed).toBe(false)
    await clock.advance(2000)
    await peer.until(() => peer.closed)
    expect(peer.text).toBe('')
  })

  test('for a header that arrives byte by byte, and answers 408', async () => {
    const clock = virtualClock()
    const { app, port } = await serve(() => 'x', { clock })
    const peer = new Peer(port)
    for (const character of 'GET / HTTP/') {
      peer.send(character)
      await arrive()
      await clock.advance(1000)
    }
    expect(await peer.untilEnd()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n(?:.|\s)*header-timeout/)
    await eventually('nothing lives', () => app.live === 0)
  })

  test('for the header of a later request too', async () => {
    const clock = virtualClock()
    const { port } = await serve(() => 'x', { clock })
    const peer = new Peer(port)
    peer.send(GET)
    await peer.until(/x$/)
    await clock.advance(20_000)
    for (const character of 'GET / HTTP/1.1') {
      peer.send(character)
      await arrive()
      await clock.advance(1000)
    }
    expect(await peer.untilEnd()).toMatch(/x(?:.|\s)*HTTP\/1\.1 408/)
  })

  test('between requests, and closes', async () => {
    const clock = virtualClock()
    const { port } = await serve(() => 'x', { clock })
    const peer = new Peer(port)
    peer.send(GET)
    await peer.until(/x$/)
    await clock.advance(40_000)
    peer.send(GET)
    await peer.until(/x(?:.|\s)*x$/)
    await clock.advance(40_000)
    expect(peer.ended).toBe(false)
    await clock.advance(60_000)
    await peer.untilEnd()
    expect(peer.text).not.toMatch(/408/)
  })

  test('without reading, and drops a client after the idle limit', async () => {
    const clock = virtualClock()
    const { app, port } = await serve(
      () =>
        (async function* () {
          for (;;) yield new Uint8Array(64 * 1024)
        })(),
      { clock }
    )
    const peer = new Peer(port)
    peer.socket.pause()
    peer.send(GET)
    await eventually('the request is in work', () => app.live === 2)
    await arrive()
    await clock.advance(30_000)
    expect(app.live).toBe(2)
    await clock.advance(50_000)
    await eventually('it has been dropped', () => app.live === 0)
  })

  test('for a body, and answers 504', async () => {
    const clock = virtualClock()
    const { app, port } = await serve(async context => (await context.bytes()).length, { clock, app: { clock } })
    const peer = new Peer(port)
    peer.send('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel')
    await eventually('the request is in work', () => app.live === 2)
    await clock.advance(38_000)
    await peer.until(/^HTTP\/1\.1 504 /)
    await eventually('the request is over', () => app.live <= 1)
    await clock.advance(2000)
    await peer.until(() => peer.closed)
    await eventually('nothing lives', () => app.live === 0)
  })

  test('of event streams not at all', async () => {
    const clock = virtualClock()
    const go = gate()
    const { port } = await serve(
      context => {
        context.response.type = 'text/event-stream'
        return (async function* () {
          yield new TextEncoder().encode('first')
          await go.promise
          yield new TextEncoder().encode('last')
        })()
      },
      { clock }
    )
    const peer = new Peer(port)
    peer.send(GET)
    await peer.until(/first/)
    await clock.advance(600_000)
    go.open()
    await peer.until(/last/)
  })
})

describe('http limits connections', () => {
  test('and answers 503 over the limit', async () => {
    const { port } = await serve(() => 'x', { limits: { connections: 2 } })
    const peers = [new Peer(port), new Peer(port)]
    for (const peer of peers) await peer.send(GET).until(/x$/)
    const third = new Peer(port)
    third.send(GET)
    expect(await third.untilEnd()).toMatch(/^HTTP\/1\.1 503 (?:.|\s)*retry-after: 10(?:.|\s)*too-many-connections/)
    peers[0]?.socket.destroy()
    await arrive()
    await new Peer(port).send(GET).until(/x$/)
  })

  test('and drops connections over the limit that stay', async () => {
    const { port } = await serve(() => 'x', { limits: { connections: 1 } })
    await new Peer(port).send(GET).until(/x$/)
    const others = Array.from({ length: 100 }, () => new Peer(port, { allowHalfOpen: true }))
    await Promise.all(others.map(peer => peer.untilEnd()))
    expect(others.filter(peer => peer.text.startsWith('HTTP/1.1 503 ')).length).toBeLessThanOrEqual(64)
    // A peer that does not end its side learns by a reset that the server has.
    const probe = setInterval(() => {
      for (const peer of others) peer.send('x')
    }, 100)
    await Promise.all(others.map(peer => peer.until(() => peer.closed)))
    clearInterval(probe)
  })

  test('and answers 503 over the limit of running requests', async () => {
    const go = gate()
    const { app, port } = await serve(
      async () => {
        await go.promise
        return 'x'
      },
      { limits: { inFlight: 1 } }
    )
    const first = new Peer(port).send(GET)
    await eventually('one is in work', () => app.live === 2)
    await new Peer(port).send(GET).until(/^HTTP\/1\.1 503 /)
    go.open()
    await first.until(/x$/)
  })
})

describe('close()', () => {
  test('ends idle connections at once, and busy ones after their last answer', async () => {
    const go = gate()
    const { app, port } = await serve(async context => {
      if (context.path === '/slow') await go.promise
      return `<${context.path}>`
    })
    const idle = new Peer(port).send(GET)
    await idle.until(/<\/>$/)
    const busy = new Peer(port).send('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await eventually('one is in work', () => app.live === 3)
    const closing = app.close({ timeout: 5000 })
    await idle.untilEnd()
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(busy.ended).toBe(false)
    go.open()
    expect(await busy.untilEnd()).toMatch(/connection: close(?:.|\s)*<\/slow>$/i)
    await closing
    await eventually('nothing lives', () => app.live === 0)
  })

  test('ends a connection with an arrived but unread request only after its answer', async () => {
    for (let round = 0; round < 10; round++) {
      const { app, port } = await serve(() => '<x>')
      const peer = new Peer(port).send(GET)
      await peer.until(/<x>$/)
      peer.text = ''
      const flushed = new Promise(resolve => peer.socket.write('PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx', resolve))
      await flushed
      await app.close({ timeout: 1000 })
      expect(await peer.untilEnd()).toMatch(/<x>$/)
    }
  })

  test('cuts off requests that do not finish in time', async () => {
    const { app, port } = await serve(() => new Promise(() => undefined))
    const peer = new Peer(port).send(GET)
    await eventually('one is in work', () => app.live === 2)
    const from = Date.now()
    await app.close({ timeout: 50 })
    expect(Date.now() - from).toBeLessThan(1000)
    await eventually('nothing lives', () => app.live === 0)
    await peer.until(() => peer.closed)
    expect(peer.text).toBe('')
  })

  test('ends observers without waiting', async () => {
    const { app, port } = await serve(() => ({ n: 1 }))
    const peer = new Peer(port).send('GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n')
    await peer.until(/data: \{"n":1\}\n\n/)
    const from = Date.now()
    await app.close({ timeout: 5000 })
    expect(Date.now() - from).toBeLessThan(1000)
    expect(await peer.untilEnd()).toMatch(/0\r\n\r\n$/)
    await eventually('nothing lives', () => app.live === 0)
  })
})
