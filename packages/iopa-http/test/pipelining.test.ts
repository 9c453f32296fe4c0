import { describe, expect, test } from 'vitest'
import { eventually, gate, Peer, serve } from './support.ts'

const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`
const put = (path: string, body: string): string => `PUT ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const bodies = (text: string): string[] => [...text.matchAll(/\r\n\r\n(<[^>]*>)/g)].map(([, body]) => body as string)

describe('pipelined requests', () => {
  test('are answered in order, with synchronous and asynchronous handlers', async () => {
    const { app, port } = await serve(async context => {
      const number = Number(context.path.slice(1))
      if (number % 3 !== 0) await new Promise(resolve => setTimeout(resolve, 10 - number))
      return `<${number}>`
    })
    const peer = new Peer(port)
    peer.send(Array.from({ length: 10 }, (_, number) => get(`/${number}`)).join('') + get('/10', 'Connection: close\r\n'))
    expect(bodies(await peer.untilEnd())).toEqual(Array.from({ length: 11 }, (_, number) => `<${number}>`))
    await eventually('nothing lives', () => app.live === 0)
  })

  test('see the effect of earlier requests: one runs at a time', async () => {
    let running = 0
    let most = 0
    let state = 'old'
    const { port } = await serve(async context => {
      most = Math.max(most, ++running)
      await new Promise(resolve => setTimeout(resolve, 2))
      if (context.method === 'PUT') state = await context.text()
      running--
      return `<${state}>`
    })
    const peer = new Peer(port)
    peer.send(get('/x') + put('/x', 'new') + get('/x') + put('/x', 'newer') + get('/x', 'Connection: close\r\n'))
    expect(bodies(await peer.untilEnd())).toEqual(['<old>', '<new>', '<new>', '<newer>', '<newer>'])
    expect(most).toBe(1)
  })

  test('are not read before they can be answered, even thousands at once', async () => {
    const go = gate()
    let ran = 0
    const { app, port } = await serve(async () => {
      ran++
      await go.promise
      return 'x'.repeat(1000)
    })
    const peer = new Peer(port)
    const many = 500_000
    peer.send(get('/x').repeat(many))
    await eventually('the first one is in work', () => ran === 1)
    await new Promise(resolve => setTimeout(resolve, 200))
    expect(ran).toBe(1)
    expect(app.live).toBe(2)
    const unsent = peer.socket.writableLength
    expect(unsent).toBeGreaterThan(0)
    await new Promise(resolve => setTimeout(resolve, 200))
    expect(peer.socket.writableLength).toBe(unsent)
    go.open()
    await eventually('they are answered one after another', () => ran > 1000)
    peer.socket.destroy()
    await eventually('nothing lives', () => app.live === 0)
    expect(ran).toBeLessThan(many)
  })

  test('stay unread while the client does not read its answers', async () => {
    let ran = 0
    const { app, port } = await serve(() => {
      ran++
      return 'x'.repeat(100_000)
    })
    const peer = new Peer(port)
    peer.socket.pause()
    peer.send(get('/x').repeat(20_000))
    await eventually('some are answered', () => ran > 5)
    await new Promise(resolve => setTimeout(resolve, 200))
    // What the kernel holds at most for both ends, by 100 kB.
    expect(ran).toBeLessThan(300)
    peer.socket.destroy()
    await eventually('nothing lives', () => app.live === 0)
  })

  test('are answered before invalid input, then the invalid input', async () => {
    for (const wait of [0, 5]) {
      const { port } = await serve(async context => {
        if (wait > 0) await new Promise(resolve => setTimeout(resolve, wait))
        return `<${context.path}>`
      })
      const text = await new Peer(port).send(`${get('/1')}${get('/2')}nonsense\r\n\r\n`).untilEnd()
      expect(bodies(text)).toEqual(['</1>', '</2>'])
      expect(text).toMatch(/HTTP\/1\.1 400 [^<>]*malformed-request/)
    }
  })

  test('are answered after a refused one', async () => {
    const { port } = await serve(context => `<${context.path}>`)
    const text = await new Peer(port).send(get('/a//b') + get('/2') + get('/%zz') + get('/4', 'Connection: close\r\n')).untilEnd()
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400', 'HTTP/1.1 200', 'HTTP/1.1 400', 'HTTP/1.1 200'])
  })

  test('are answered after a body that the app does not read', async () => {
    const { port } = await serve(context => `<${context.path}>`)
    const text = await new Peer(port).send(put('/1', 'unread') + put('/2', 'unread') + get('/3', 'Connection: close\r\n')).untilEnd()
    expect(bodies(text)).toEqual(['</1>', '</2>', '</3>'])
  })

  test('wait for the end of a stream', async () => {
    const { port } = await serve(context =>
      context.path === '/1'
        ? (async function* () {
            yield new TextEncoder().encode('<1')
            await new Promise(resolve => setTimeout(resolve, 20))
            yield new TextEncoder().encode('>')
          })()
        : `<${context.path}>`
    )
    const text = await new Peer(port).send(get('/1') + get('/2', 'Connection: close\r\n')).untilEnd()
    expect(text).toMatch(/<1\r\n1\r\n>\r\n0\r\n\r\nHTTP\/1\.1 200 OK\r\n[^<]*<\/2>$/)
  })
})
