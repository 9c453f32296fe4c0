import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { PeerWatch } from '../src/server/peer-watch.ts'
import { eventually, Peer, serve } from './support.ts'

const post = (fields: string, body: string): string => `POST / HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n${body}`
const arrive = (): Promise<unknown> => new Promise(resolve => setTimeout(resolve, 20))

describe('a peer that owes its body while it reads its answer late', () => {
  for (const type of ['application/octet-stream', 'text/event-stream']) {
    test(`is dropped when it sends no more after it has read (${type})`, async () => {
      const clock = virtualClock()
      const { app, port } = await serve(
        context => {
          const body = context.bytes()
          body.catch(() => undefined)
          context.response.type = type
          return (async function* () {
            for (let part = 0; part < 64; part++) yield new Uint8Array(128 * 1024)
            yield new TextEncoder().encode(`got ${(await body).length}`)
          })()
        },
        { clock, limits: { idleTimeout: 5000 } }
      )
      const peer = new Peer(port)
      peer.socket.pause()
      peer.send(post('Content-Length: 100\r\n', 'ten bytes.'))
      await eventually('the request is in work', () => app.live === 2)
      await arrive()
      await clock.advance(2000)
      peer.socket.resume()
      await peer.until(() => peer.text.length > 64 * 128 * 1024)
      await arrive()
      await clock.advance(10_000)
      await peer.until(() => peer.closed)
      expect(peer.text).not.toMatch(/got/)
      await eventually('nothing lives', () => app.live === 0)
    })
  }

  test('is dropped when it does not read, even if it sends', async () => {
    const clock = virtualClock()
    const { app, port } = await serve(
      context => {
        const body = context.bytes()
        body.catch(() => undefined)
        return (async function* () {
          for (;;) yield new Uint8Array(128 * 1024)
        })()
      },
      { clock, limits: { idleTimeout: 5000 } }
    )
    const peer = new Peer(port)
    peer.socket.pause()
    peer.socket.setNoDelay(true)
    peer.send(post('Content-Length: 1000\r\n', 'x'))
    await eventually('the request is in work', () => app.live === 2)
    await arrive()
    for (let second = 0; second < 10; second++) {
      peer.send('x')
      await arrive()
      await clock.advance(1000)
    }
    await eventually('nothing lives', () => app.live === 0)
  })
})

describe('PeerWatch', () => {
  test('times the body and the drain of a peer separately', () => {
    const watch = new PeerWatch(0)
    watch.wait('body')
    expect(watch.stalled(0, 10, 1, 5)).toBe(false)
    watch.wait('drain')
    expect(watch.stalled(4, 10, 1, 5)).toBe(false)
    expect(watch.stalled(8, 10, 1, 4)).toBe(false)
    // The body has not moved since 0.
    expect(watch.stalled(10, 10, 1, 3)).toBe(true)
    watch.waited('body')
    expect(watch.stalled(12, 10, 1, 3)).toBe(false)
    expect(watch.stalled(22, 10, 9, 3)).toBe(true)
    watch.waited('drain')
    expect(watch.stalled(99, 10, 9, 3)).toBe(false)
  })
})
