import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { Lingering } from '../src/server/lingering.ts'
import { eventually, Peer, serve } from './support.ts'

const HOST = 'Host: localhost\r\n'
const post = (fields: string): string => `POST / HTTP/1.1\r\n${HOST}${fields}\r\n`
const LAST = `GET /last HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`
const arrive = (): Promise<unknown> => new Promise(resolve => setTimeout(resolve, 10))
const piece = 'x'.repeat(1000)

/** A client whose small writes leave at once. */
const prompt = (port: number): Peer => {
  const peer = new Peer(port, { allowHalfOpen: true })
  peer.socket.setNoDelay(true)
  return peer
}

describe('an upload that is answered early', () => {
  test('continues while it makes progress, and the connection is kept', async () => {
    const clock = virtualClock()
    const { port } = await serve(context => `<${context.path}>`, { clock })
    const peer = prompt(port)
    peer.send(post('Content-Length: 30000\r\n'))
    expect(await peer.until(/<\/>$/)).not.toMatch(/connection: close/)
    for (let round = 0; round < 30; round++) {
      peer.send(piece)
      await arrive()
      await clock.advance(6000)
    }
    peer.send(LAST)
    expect(await peer.untilEnd()).toMatch(/<\/last>$/)
  })

  test('ends the connection when it has stopped for the header timeout', async () => {
    const clock = virtualClock()
    const { app, port } = await serve(() => 'early', { clock })
    const peer = new Peer(port)
    await peer.send(post('Content-Length: 30000\r\n') + piece).until(/early$/)
    await arrive()
    await clock.advance(8000)
    expect(peer.closed).toBe(false)
    await clock.advance(6000)
    await eventually('nothing lives', () => app.live === 0)
  })

  for (const [what, fields, status] of [
    ['is too long', 'Content-Length: 5000000\r\n', 413],
    ['comes in chunks that nobody reads', 'Transfer-Encoding: chunked\r\n', 200]
  ] as const) {
    test(`with ${what} gets Connection: close, and input is discarded until the client reads`, async () => {
      const clock = virtualClock()
      const { app, port } = await serve(() => 'early', { clock })
      const peer = prompt(port)
      let failed: Error | undefined
      peer.socket.on('error', error => {
        failed = error
      })
      peer.socket.pause()
      peer.send(post(fields))
      for (let second = 0; second < 20; second++) {
        peer.send(second % 4 === 0 ? `3e8\r\n${piece}\r\n` : '')
        await arrive()
        await clock.advance(1000)
      }
      peer.socket.resume()
      const text = await peer.untilEnd()
      expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
      expect(text).toMatch(/connection: close/)
      expect(failed).toBeUndefined()
      expect(app.live).toBe(1)
      peer.socket.end()
      await eventually('nothing lives', () => app.live === 0)
    })
  }

  test('is cut after thirty seconds if too long, and after five without input', async () => {
    const clock = virtualClock()
    const { app, port } = await serve(() => 'early', { clock })
    const long = prompt(port).send(post('Content-Length: 5000000\r\n'))
    const silent = new Peer(port, { allowHalfOpen: true }).send(post('Content-Length: 5000000\r\n'))
    await long.until(/413/)
    await silent.until(/413/)
    const lives: number[] = []
    for (let second = 0; second < 40; second++) {
      long.send(piece)
      await arrive()
      await clock.advance(1000)
      if (second === 3 || second === 8 || second === 27) lives.push(app.live)
    }
    expect(lives).toEqual([2, 1, 1])
    await eventually('nothing lives', () => app.live === 0)
  })

  for (const fields of ['Content-Length: 3000000\r\n', 'Transfer-Encoding: chunked\r\n']) {
    test(`ends the connection one second after a 504, even while bytes arrive: ${fields.trim()}`, async () => {
      const clock = virtualClock()
      const { app, port } = await serve(context => context.bytes(), { clock, limits: { requestTimeout: 3000, body: 4_000_000 } })
      const peer = prompt(port).send(post(fields))
      let seconds = 0
      for (; seconds < 20 && app.live > 0; seconds++) {
        peer.send(fields.startsWith('C') ? piece : `3e8\r\n${piece}\r\n`)
        await arrive()
        await clock.advance(1000)
      }
      const text = await peer.untilEnd()
      expect(text).toMatch(/^HTTP\/1\.1 504 /)
      expect(text).toMatch(/connection: close/)
      expect(seconds).toBeLessThan(8)
    })
  }

  test('by an unread chunked stream is discarded within the limit, and the connection is kept', async () => {
    const { port } = await serve(
      context =>
        context.method === 'GET'
          ? `<${context.path}>`
          : (async function* () {
              yield new TextEncoder().encode('early')
            })(),
      { limits: { body: 10_000 } }
    )
    const chunk = `3e8\r\n${piece}\r\n`
    const peer = new Peer(port).send(post('Transfer-Encoding: chunked\r\n') + chunk)
    expect(await peer.until(/0\r\n\r\n$/)).not.toMatch(/connection: close/)
    peer.send(`${chunk.repeat(3)}0\r\n\r\n${LAST}`)
    expect(await peer.untilEnd()).toMatch(/<\/last>$/)

    const endless = new Peer(port).send(post('Transfer-Encoding: chunked\r\n') + chunk)
    await endless.until(/0\r\n\r\n$/)
    endless.send(chunk.repeat(20))
    await endless.untilEnd()

    const malformed = new Peer(port).send(post('Transfer-Encoding: chunked\r\n') + chunk)
    await malformed.until(/0\r\n\r\n$/)
    malformed.send(`zz\r\n${LAST}`)
    // The answer has been given: what follows it is no second one.
    expect((await malformed.untilEnd()).match(/HTTP\/1\.1/g)).toHaveLength(1)
  })
})

describe('lingering connections', () => {
  test('are limited in number: above it each has one second', () => {
    const all = new Lingering()
    const lingers = Array.from({ length: 300 }, () => all.begin(true))
    let received = 0
    const over = (now: number): number => lingers.filter(linger => linger.over(now, received, 0)).length
    expect(over(0)).toBe(0)
    received++
    expect(over(900)).toBe(0)
    received++
    expect(over(1000)).toBe(44)
    for (const linger of lingers.splice(0, 44)) linger.end()
    received++
    expect(over(2000)).toBe(0)
  })

  test('stay while output is pending, and one second if the peer owes nothing', () => {
    const linger = new Lingering().begin(false)
    expect(linger.over(0, 1, 5)).toBe(false)
    expect(linger.over(100_000, 1, 5)).toBe(false)
    expect(linger.over(100_000, 1, 0)).toBe(false)
    expect(linger.over(100_999, 1, 0)).toBe(false)
    expect(linger.over(101_000, 1, 0)).toBe(true)
  })
})
