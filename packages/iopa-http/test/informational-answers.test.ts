import { connect as connectHttp2 } from 'node:http2'
import { App, type Context } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { http } from '../src/index.ts'
import { ask, atEnd, eventually, Peer, serve } from './support.ts'

const LINK = '</style.css>; rel=preload; as=style'
const inform = (context: Context, status = 103): boolean => context['server.Inform'](status, { link: LINK, 'x-own': 'ä', 'content-length': '9' })

describe('an informational answer', () => {
  test('leaves before the final one, on HTTP/1.1', async () => {
    const results: unknown[] = []
    let go: () => void = () => undefined
    const { port } = await serve(async context => {
      results.push(inform(context), inform(context, 102))
      await new Promise<void>(resolve => (go = resolve))
      return 'final'
    })
    const peer = new Peer(port).send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await peer.until(/\r\n\r\n.*\r\n\r\n/s)
    expect(peer.text).toBe(`HTTP/1.1 103 Early Hints\r\nlink: ${LINK}\r\nx-own: ä\r\n\r\nHTTP/1.1 102 \r\nlink: ${LINK}\r\nx-own: ä\r\n\r\n`)
    go()
    expect(await peer.until(/final$/)).toMatch(/\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
    expect(results).toEqual([true, true])
  })

  test('leaves before the body of the request has come, and keeps pipelined answers in order', async () => {
    const { port } = await serve(async context => {
      inform(context)
      return context.text()
    })
    const peer = new Peer(port).send('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n')
    await peer.until(/103 Early Hints.*\r\n\r\n/s)
    peer.send('onePOST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ntwo')
    expect((await peer.until(/two$/)).match(/HTTP\/1\.1 \d+|one|two/g)).toEqual([
      'HTTP/1.1 103',
      'HTTP/1.1 200',
      'one',
      'HTTP/1.1 103',
      'HTTP/1.1 200',
      'two'
    ])
  })

  test('is sent over HTTP/2', async () => {
    const { origin } = await serve(context => [inform(context), inform(context)], { http2: true })
    const session = connectHttp2(origin)
    atEnd(() => session.destroy())
    const hints: unknown[] = []
    const stream = session.request({ ':path': '/' })
    stream.on('headers', headers => hints.push([headers[':status'], headers['link']]))
    let text = ''
    for await (const chunk of stream) text += chunk
    expect([text, hints]).toEqual([
      '[true,true]',
      [
        [103, LINK],
        [103, LINK]
      ]
    ])
  })

  test('is not sent to HTTP/1.0, in process, or without a peer', async () => {
    const { port } = await serve(context => inform(context))
    expect(await ask(port, 'GET / HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n.*false$/s)
    const app = new App().use(context => inform(context))
    expect(await (await app.invoke({ 'iopa.Path': '/' })).json()).toBe(false)
    await app.close()
  })

  test.each([false, true])('is not sent after the final answer has begun; HTTP/2: %j', async http2 => {
    let late: Context['server.Inform'] | null = null
    let results: unknown[] = []
    const { origin } = await serve(
      context => {
        late = context['server.Inform']
        return (async function* () {
          yield new Uint8Array(3)
          results.push(late?.(103, { link: LINK }))
        })()
      },
      { http2 }
    )
    if (http2) {
      const session = connectHttp2(origin)
      atEnd(() => session.destroy())
      for await (const _ of session.request({ ':path': '/' }));
    } else await (await fetch(origin)).bytes?.()
    await eventually('the answer is over', () => results.length === 1)
    results = [...results, (late as Context['server.Inform'] | null)?.(103, {})]
    expect(results).toEqual([false, false])
  })

  test('is sent sixteen times at most, and refused where it makes no sense', async () => {
    const { port, errors } = await serve(context => {
      for (const status of [100, 101, 200, 102.5, Number.NaN])
        expect(() => inform(context, status)).toThrow(expect.objectContaining({ status: 500, code: 'bad-status' }))
      expect(() => context['server.Inform'](103, { 'x-own': 'a\r\nb: c' })).toThrow(expect.objectContaining({ status: 500 }))
      return Array.from({ length: 20 }, () => inform(context)).filter(Boolean).length
    })
    const text = await ask(port, 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect([text.match(/HTTP\/1\.1 103/g)?.length, text.endsWith('16'), errors]).toEqual([16, true, []])
  })
})

test('a client skips informational answers', async () => {
  const { origin } = await serve(context => inform(context))
  const app = new App().use(http())
  const client = await app.connect(origin)
  expect(await (await client.get('/')).json()).toBe(true)
  await app.close()
})
