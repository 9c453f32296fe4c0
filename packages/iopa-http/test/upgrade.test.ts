import { type ByteChannel, IopaError, type Upgradable, upgradesOf } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { eventually, gate, Peer, serve } from './support.ts'

const HEAD = 'Host: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c, Echo\r\n'

/** An app on which a protocol that echoes takes connections at `/echo`. */
const echoing = async (more: Partial<Upgradable> = {}) => {
  const taken: { path: string; head: string; channel: ByteChannel; ended: boolean; closed: boolean }[] = []
  const served = await serve(async context => `plain ${context.path} ${await context.text()}`, { limits: { idleTimeout: 200 } })
  const upgrade = upgradesOf(served.app.host('echo')).add({
    protocol: 'echo',
    path: '/echo',
    take(request, channel, head) {
      const one = { path: request.path, head: Buffer.from(head).toString(), channel, ended: false, closed: false }
      taken.push(one)
      channel.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      channel.write(head)
      channel.open({
        data: chunk => void channel.write(chunk),
        end: () => {
          one.ended = true
          channel.end()
        },
        drain: () => undefined,
        close: () => {
          one.closed = true
        }
      })
    },
    ...more
  })
  return { ...served, taken, upgrade }
}

describe('an upgrade', () => {
  test('hands the connection over, with what was sent behind the request', async () => {
    const { app, port, taken } = await echoing()
    const peer = new Peer(port).send(`GET /first HTTP/1.1\r\nHost: localhost\r\n\r\nGET /echo HTTP/1.1\r\n${HEAD}\r\nearly `)
    expect(await peer.until(/early $/)).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*plain \/first HTTP\/1\.1 101 [\s\S]*\r\n\r\nearly $/)
    peer.send('GET /late HTTP/1.1\r\n\r\n')
    await peer.until(/GET \/late HTTP\/1\.1\r\n\r\n$/)
    expect(taken).toMatchObject([{ path: '/echo', head: 'early ' }])
    // It is no longer idle, and still counted.
    await new Promise(resolve => setTimeout(resolve, 400))
    expect(peer.closed).toBe(false)
    expect(app.counters()['http']).toMatchObject({ connections: 1, inFlight: 0 })
    peer.socket.end()
    await eventually('the end arrives', () => taken[0]?.closed === true)
    expect(taken[0]?.ended).toBe(true)
    await eventually('it is counted out', () => app.counters()['http']?.connections === 0)
    expect(app.live).toBe(0)
  })

  test('waits for the answers before it, and takes a head that comes in pieces', async () => {
    const { port } = await echoing()
    const peer = new Peer(port)
    for (const byte of `POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbodyGET /echo HTTP/1.1\r\n${HEAD}\r\nx`) peer.send(byte)
    expect(await peer.until(/\r\n\r\nx$/)).toMatch(/plain \/slow bodyHTTP\/1\.1 101/)
  })

  test.each([
    ['another path', `GET /other HTTP/1.1\r\n${HEAD}\r\n`],
    ['another protocol', 'GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'],
    ['Upgrade without Connection', 'GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: echo\r\n\r\n'],
    ['a request with a body', `GET /echo HTTP/1.1\r\n${HEAD}Content-Length: 1\r\n\r\nx`],
    ['another method', `POST /echo HTTP/1.1\r\n${HEAD}Content-Length: 0\r\n\r\n`]
  ])('is no upgrade with %s: the request is answered, and the connection lives on', async (_, request) => {
    const { port, taken } = await echoing()
    const peer = new Peer(port).send(request)
    await peer.until(/^HTTP\/1\.1 200 OK[\s\S]*plain/)
    peer.send('GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await peer.until(/plain \/next/)
    expect(taken).toEqual([])
  })

  test('is checked as any request before it is taken', async () => {
    const { port, taken } = await echoing()
    const peer = new Peer(port).send(`GET /echo HTTP/1.1\r\n${HEAD.replace('localhost', 'evil.example')}\r\n`)
    await peer.until(/^HTTP\/1\.1 421 /)
    expect(taken).toEqual([])
  })

  test('that is refused is answered with the problem, and the connection lives on', async () => {
    const { port, taken } = await echoing({
      admit() {
        throw new IopaError(403, 'foreign-origin', 'Not from there.')
      }
    })
    const peer = new Peer(port).send(`GET /echo HTTP/1.1\r\n${HEAD}\r\nGET /next HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    expect(await peer.until(/plain \/next/)).toMatch(/^HTTP\/1\.1 403 [\s\S]*"foreign-origin"/)
    expect(taken).toEqual([])
  })

  test('is answered as a plain request when its taker has gone, and while the listener closes', async () => {
    const { port, taken, upgrade } = await echoing()
    upgrade[Symbol.dispose]()
    await new Peer(port).send(`GET /echo HTTP/1.1\r\n${HEAD}\r\n`).until(/plain \/echo/)
    expect(taken).toEqual([])
    const begun = gate()
    const open = gate()
    const slow = await serve(async context => {
      begun.open()
      await open.promise
      return `plain ${context.path}`
    })
    let upgraded = 0
    upgradesOf(slow.app.host('echo')).add({ protocol: 'echo', path: '/echo', take: () => void upgraded++ })
    const peer = new Peer(slow.port).send('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await begun.promise
    peer.send(`GET /echo HTTP/1.1\r\n${HEAD}\r\n`)
    const closed = slow.app.close({ timeout: 2000 })
    await new Promise(resolve => setTimeout(resolve, 20))
    open.open()
    await peer.untilEnd()
    await closed
    expect(upgraded).toBe(0)
    expect(slow.app.live).toBe(0)
  })

  test('a drain waits for its taker, and then forces', async () => {
    const { app, port, taken } = await echoing()
    const peer = new Peer(port).send(`GET /echo HTTP/1.1\r\n${HEAD}\r\n`)
    await peer.until(/101/)
    const closed = app.close({ timeout: 100 })
    peer.send('still')
    await peer.until(/still$/)
    await closed
    expect(taken[0]?.closed).toBe(true)
    expect(app.live).toBe(0)
  })

  test('may refuse to ride on a listener', async () => {
    const { app } = await serve(() => 'x')
    const listens = (): void => {
      throw new IopaError(500, 'unprotected', 'Not there.')
    }
    expect(() => upgradesOf(app.host('echo')).add({ protocol: 'echo', path: '/', listens, take: () => undefined })).toThrow('Not there.')
  })
})
